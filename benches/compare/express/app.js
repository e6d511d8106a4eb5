// The application of both servers; only their stores differ.
import express from 'express';
import session from 'express-session';

const ONE_DAY = 24 * 60 * 60 * 1000;

export function serve(store) {
  const app = express();
  // Before the session middleware: this route has no session.
  app.get('/plain', (request, response) => {
    response.send('ok');
  });
  app.use(session({
    store,
    secret: process.env.SESSION_SECRET,
    resave: false,
    saveUninitialized: false,
    cookie: { maxAge: ONE_DAY },
  }));
  app.get('/read', (request, response) => {
    response.send(String(request.session.count ?? 0));
  });
  app.get('/count', (request, response) => {
    request.session.count = (request.session.count ?? 0) + 1;
    response.send(String(request.session.count));
  });
  app.listen(Number(process.env.PORT), '127.0.0.1');
}

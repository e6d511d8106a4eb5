// express-session with connect-pg-simple.
import connectPgSimple from 'connect-pg-simple';
import session from 'express-session';
import pg from 'pg';
import { serve } from './app.js';

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10 });
const PgStore = connectPgSimple(session);
serve(new PgStore({ pool, createTableIfMissing: true }));

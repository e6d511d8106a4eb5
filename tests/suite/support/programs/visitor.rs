//! A visitor of a server, over HTTP.

use rocket::serde::json::Value;

/// A visitor over HTTP whose browser keeps the session cookie.
#[derive(Clone)]
pub(crate) struct Browser {
    agent: ureq::Agent,
    url: String,
    pub(crate) cookie: Option<String>,
}

/// The answer to an HTTP request.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) set_cookie: Option<String>,
    pub(crate) retry_after: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) body: String,
}

impl Browser {
    pub(crate) fn new(url: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(std::time::Duration::from_secs(20)))
            .build();
        Self {
            agent: config.into(),
            url: url.to_owned(),
            cookie: None,
        }
    }

    /// Continues with another server.
    pub(crate) fn set_url(&mut self, url: &str) {
        url.clone_into(&mut self.url);
    }

    /// Sends a GET request to a server that may have ended.
    pub(crate) fn try_get(&mut self, path: &str) -> Option<Reply> {
        let cookie = self.cookie.clone().unwrap_or_default();
        self.request(path, cookie.as_bytes()).ok()
    }

    pub(crate) fn get(&mut self, path: &str) -> Reply {
        let cookie = self.cookie.clone().unwrap_or_default();
        self.get_with(path, cookie.as_bytes())
    }

    /// Sends a GET request with a `Cookie` header of arbitrary bytes.
    pub(crate) fn get_with(&mut self, path: &str, cookie: &[u8]) -> Reply {
        self.request(path, cookie)
            .unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    fn request(&mut self, path: &str, cookie: &[u8]) -> Result<Reply, ureq::Error> {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        if !cookie.is_empty() {
            let cookie = ureq::http::HeaderValue::from_bytes(cookie).unwrap();
            request = request.header("Cookie", cookie);
        }
        self.keep(request.call())
    }

    /// Sends a GET request with a further header.
    pub(crate) fn get_with_header(&mut self, path: &str, name: &str, value: &str) -> Reply {
        let request = self.agent.get(format!("{}{path}", self.url));
        self.keep(request.header(name, value).call())
            .unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    pub(crate) fn delete(&mut self, path: &str) -> Reply {
        let mut request = self.agent.delete(format!("{}{path}", self.url));
        if let Some(cookie) = &self.cookie {
            request = request.header("Cookie", cookie);
        }
        self.keep(request.call())
            .unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// Sends a POST request with a JSON body, or without a body if it is empty.
    pub(crate) fn post(&mut self, path: &str, json: &str) -> Reply {
        let mut request = self.agent.post(format!("{}{path}", self.url));
        if let Some(cookie) = &self.cookie {
            request = request.header("Cookie", cookie);
        }
        let answer = if json.is_empty() {
            request.send_empty()
        } else {
            request
                .header("Content-Type", "application/json")
                .send(json)
        };
        self.keep(answer)
            .unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    fn keep(
        &mut self,
        response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Reply, ureq::Error> {
        let mut response = response?;
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        let (set_cookie, retry_after) = (header("set-cookie"), header("retry-after"));
        let request_id = header("x-request-id");
        let body = response.body_mut().read_to_string()?;
        if let Some(cookie) = &set_cookie {
            let pair = cookie.split(';').next().unwrap().to_owned();
            self.cookie = (!cookie.contains("Max-Age=0")).then_some(pair);
        }
        Ok(Reply {
            status: response.status().as_u16(),
            set_cookie,
            retry_after,
            request_id,
            body,
        })
    }

    /// Counts a visit.
    pub(crate) fn visit(&mut self) -> u64 {
        let reply = self.get("/api/session/test-session");
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()["visitCount"].as_u64().unwrap()
    }
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        rocket::serde::json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

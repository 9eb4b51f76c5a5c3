//! The tablet's page, as its browser sees it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use system_tests::fleet::Tablet;

/// The tablet's browser: says what the gate asks, and follows where forms lead.
pub(crate) struct Browser {
    host: String,
    cookie: String,
}

impl Browser {
    pub(crate) fn open(tablet: &Tablet) -> Self {
        let link = tablet.root_dir().join("run/nestwarden/page.url");
        let link = fs::read_to_string(link).unwrap();
        let rest = link.trim().strip_prefix("http://").unwrap();
        let (host, path) = rest.split_once('/').unwrap();
        let mut browser = Self {
            host: host.to_owned(),
            cookie: String::new(),
        };
        let (_, head, _) = browser.ask("GET", &format!("/{path}"), "");
        let cookie = header(&head, "set-cookie").unwrap();
        cookie
            .split(';')
            .next()
            .unwrap()
            .clone_into(&mut browser.cookie);
        browser
    }

    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String, Vec<u8>) {
        self.ask_may_fail(method, path, body).unwrap()
    }

    /// `None`: the agent was gone before it had answered.
    pub(crate) fn ask_may_fail(
        &self,
        method: &str,
        path: &str,
        body: &str,
    ) -> Option<(u16, String, Vec<u8>)> {
        let mut stream = TcpStream::connect(&self.host).ok()?;
        let Self { host, cookie } = self;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\norigin: http://{host}\r\nsec-fetch-site: same-origin\r\n\
             cookie: {cookie}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .ok()?;
        let mut came = Vec::new();
        stream.read_to_end(&mut came).ok()?;
        let end = came.windows(4).position(|w| w == b"\r\n\r\n")?;
        let head = String::from_utf8(came[..end].to_vec()).ok()?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, head, came[end + 4..].to_vec()))
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let (status, _, body) = self.ask("GET", path, "");
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    pub(crate) fn post(&self, path: &str, form: &str) -> (u16, String) {
        let (status, head, body) = self.ask("POST", path, form);
        match header(&head, "location") {
            Some(to) => self.get(&to),
            None => (status, String::from_utf8_lossy(&body).into_owned()),
        }
    }
}

fn header(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then(|| value.to_owned())
    })
}

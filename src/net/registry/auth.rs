//! Authentication: user and password, or a token that a server gives for them.

use std::collections::HashMap;
use std::fmt;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode, Url};

use super::challenge::{self, Challenge};
use super::{Registry, RegistryAccess};
use crate::net::{Error, Patience, Request, Response, Result, TlsVerify};

/// How long a token is used if the server does not say how long it lasts.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
/// The largest answer of a token server, in bytes.
const MAX_TOKEN_BYTES: u64 = 1024 * 1024;

/// Credentials for a registry.
#[derive(Clone)]
pub enum Credentials {
    /// User and password.
    Password {
        /// User.
        user: String,
        /// Password or access token.
        password: String,
    },
    /// A long-lived token, exchanged for short-lived ones.
    IdentityToken {
        /// The token.
        token: String,
        /// User and password, for a registry that asks for these.
        login: Option<(String, String)>,
    },
}

impl Credentials {
    /// User and password, if there are any.
    fn login(&self) -> Option<(&str, &str)> {
        match self {
            Self::Password { user, password } => Some((user, password)),
            Self::IdentityToken { login, .. } => {
                login.as_ref().map(|(user, password)| (&**user, &**password))
            }
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

/// The tokens for the header `Authorization`, by access and further repository.
pub(super) type Tokens = HashMap<(RegistryAccess, Option<String>), Token>;

#[derive(Clone)]
pub(super) struct Token {
    authorization: String,
    expires: Option<Instant>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("expires", &self.expires).finish_non_exhaustive()
    }
}

#[derive(serde::Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    /// Seconds; some servers say a fraction, or less than nothing.
    expires_in: Option<f64>,
}

impl Registry {
    /// Sends `request` with what is known about access, and once more when the registry asks who we are.
    /// `from` is a second repository that the request reads.
    pub(super) fn send_scoped(
        &self,
        request: &Request,
        access: RegistryAccess,
        from: Option<&str>,
        patience: &mut Patience,
    ) -> Result<Response> {
        let key = (access, from.map(str::to_string));
        let known = self.tokens.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let known = known.filter(|t| t.expires.is_none_or(|at| at > Instant::now()));
        let response = self.http.send(&with_token(request, known.as_ref()), patience)?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        // Only the registry itself may ask; where a redirect led is somebody else.
        if response.url.origin() != self.base.origin() {
            return Ok(response);
        }
        let challenges = challenge::parse(&response.headers(WWW_AUTHENTICATE));
        let Some(token) = self.answer(&challenges, access, from, patience)? else { return Ok(response) };
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(key, token.clone());
        self.http.send(&with_token(request, Some(&token)), patience)
    }

    /// Answers a challenge; `None` if we cannot.
    fn answer(
        &self,
        challenges: &[Challenge],
        access: RegistryAccess,
        from: Option<&str>,
        patience: &mut Patience,
    ) -> Result<Option<Token>> {
        for challenge in challenges {
            match challenge {
                Challenge::Bearer { realm, service, scope } => {
                    let scopes = self.scopes(scope.as_deref(), access, from);
                    return self.fetch_token(realm, service.as_deref(), &scopes, patience).map(Some);
                }
                Challenge::Basic => {
                    if let Some((user, password)) = self.credentials.as_ref().and_then(Credentials::login) {
                        return Ok(Some(Token { authorization: basic(user, password), expires: None }));
                    }
                }
            }
        }
        Ok(None)
    }

    fn scopes(&self, asked: Option<&str>, access: RegistryAccess, from: Option<&str>) -> Vec<String> {
        let actions = match access {
            RegistryAccess::Pull => "pull",
            RegistryAccess::Push => "pull,push",
        };
        let mut scopes = vec![format!("repository:{}:{actions}", self.name)];
        scopes.extend(from.map(|name| format!("repository:{name}:pull")));
        for scope in asked.unwrap_or_default().split(' ').filter(|s| !s.is_empty()) {
            let same =
                scope.strip_prefix("repository:").is_some_and(|s| s.starts_with(&format!("{}:", self.name)));
            if !same && !scopes.iter().any(|s| s == scope) {
                scopes.push(scope.into());
            }
        }
        scopes
    }

    fn fetch_token(
        &self,
        realm: &str,
        service: Option<&str>,
        scopes: &[String],
        patience: &mut Patience,
    ) -> Result<Token> {
        let mut url: Url =
            realm.parse().map_err(|e| Error::protocol(&self.base, format!("token realm {realm:?}: {e}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Error::protocol(&self.base, format!("token realm {realm:?}: it is not HTTP")));
        }
        // Nobody else is to hear them; where certificates are not verified, that was given up already.
        let secret = self.credentials.is_some() && self.http.verify() == TlsVerify::Yes;
        if secret && self.base.scheme() == "https" && url.scheme() != "https" {
            return Err(Error::protocol(
                &self.base,
                format!("wants the credentials sent to {realm}, without TLS"),
            ));
        }
        // Whom the registry trusts to say who we are gets all that proves it, a client certificate too.
        let request = match &self.credentials {
            Some(Credentials::IdentityToken { token, .. }) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                form.append_pair("grant_type", "refresh_token").append_pair("refresh_token", token);
                form.append_pair("client_id", "ostree-rs").append_pair("scope", &scopes.join(" "));
                form.append_pair("service", service.unwrap_or_default());
                Request::new(Method::POST, url)
                    .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(form.finish().into_bytes())
            }
            credentials => {
                url.query_pairs_mut().extend_pairs(service.map(|s| ("service", s)));
                url.query_pairs_mut().extend_pairs(scopes.iter().map(|s| ("scope", s)));
                let mut request = Request::new(Method::GET, url);
                if let Some(Credentials::Password { user, password }) = credentials {
                    request = request.header(AUTHORIZATION, &basic(user, password));
                }
                request
            }
        };
        let (response, body) = self.http.read_whole(MAX_TOKEN_BYTES, patience, |patience| {
            match self.http.send(&request, patience)? {
                response if response.status().is_success() => Ok(response),
                response => Err(self.refused(response, request.method.clone(), patience)),
            }
        })?;
        response.refuse_error("token", &body)?;
        response
            .parse::<TokenAnswer>("token", &body)?
            .token()
            .map_err(|why| Error::protocol(&response.url, why))
    }
}

impl TokenAnswer {
    /// The token that was given; the text says what is wrong with it.
    fn token(self) -> Result<Token, &'static str> {
        let token = [self.token, self.access_token].into_iter().flatten().find(|t| !t.is_empty());
        let token = token.ok_or("an answer without a token")?;
        if HeaderValue::from_str(&token).is_err() {
            return Err("a token with characters that cannot be sent");
        }
        let life = self.expires_in.map(|secs| Duration::try_from_secs_f64(secs.max(0.0)));
        let life = life.and_then(Result::ok).unwrap_or(DEFAULT_LIFE);
        // A little earlier, so that it does not expire on its way.
        let expires = Instant::now().checked_add(life.saturating_sub(Duration::from_secs(5)));
        Ok(Token { authorization: format!("Bearer {token}"), expires })
    }
}

/// The header `Authorization` of a user.
fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn with_token(request: &Request, token: Option<&Token>) -> Request {
    match token {
        Some(token) => request.clone().header(AUTHORIZATION, &token.authorization),
        None => request.clone(),
    }
}

//! `remote add-cookie|delete-cookie|list-cookies`: what requests to a remote carry with them.

use std::io::Write;

use anyhow::{Context, bail};
use chrono::{DateTime, Months, Utc};

use super::super::Common;
use super::remote_name;
use crate::cli::terminal::Session;
use crate::format::{Cookie, RemoteName};
use crate::host::{cookies_name, cookies_of};
use crate::repo::Repo;

/// Cookies live so long, in months.
const LIFETIME: Months = Months::new(25 * 12);

/// Arguments of `remote add-cookie`.
#[derive(clap::Args)]
pub(crate) struct AddArgs {
    #[command(flatten)]
    which: DeleteArgs,
    /// The value
    value: String,
}

/// Arguments of `remote delete-cookie`.
#[derive(clap::Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    common: Common,
    /// The remote
    name: String,
    /// The host; with a dot in front, hosts below it, too
    domain: String,
    /// The path that the paths of requests start with
    path: String,
    /// The name of the cookie
    cookie_name: String,
}

/// Arguments of `remote list-cookies`.
#[derive(clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    common: Common,
    /// The remote
    name: String,
}

/// Adds a cookie behind those that are there.
pub(super) fn add(args: &AddArgs, session: &Session) -> anyhow::Result<()> {
    let DeleteArgs { common, name, domain, path, cookie_name } = &args.which;
    let (repo, remote) = (common.open()?, remote_name(name)?);
    let expires = Utc::now().checked_add_months(LIFETIME).context("the clock is wrong")?;
    let cookie = Cookie {
        domain: domain.clone(),
        path: path.clone(),
        secure: "FALSE".to_owned(),
        expires_secs: expires.timestamp().unsigned_abs(),
        name: cookie_name.clone(),
        value: args.value.clone(),
    };
    if Cookie::parse(&cookie.to_string()).as_ref() != Some(&cookie) {
        bail!("A cookie's domain, path, name and value may not be empty or have blanks in them");
    }
    let _lock = repo.lock_edits(&session.ctx)?;
    let mut cookies = cookies_of(&repo, &remote)?;
    cookies.push(cookie);
    write(&repo, &remote, &cookies)
}

/// Deletes a cookie.
pub(super) fn delete(args: &DeleteArgs, session: &Session) -> anyhow::Result<()> {
    let (repo, remote) = (args.common.open()?, remote_name(&args.name)?);
    let _lock = repo.lock_edits(&session.ctx)?;
    let mut cookies = cookies_of(&repo, &remote)?;
    let before = cookies.len();
    cookies.retain(|cookie| {
        (&cookie.domain, &cookie.path, &cookie.name) != (&args.domain, &args.path, &args.cookie_name)
    });
    if cookies.len() == before {
        bail!("Cookie not found in jar");
    }
    write(&repo, &remote, &cookies)
}

fn write(repo: &Repo, remote: &RemoteName, cookies: &[Cookie]) -> anyhow::Result<()> {
    let text: String = cookies.iter().map(|cookie| format!("{cookie}\n")).collect();
    Ok(repo.replace_file(&cookies_name(remote), text.as_bytes())?)
}

/// Lists the cookies.
pub(super) fn list(args: &ListArgs, session: &mut Session) -> anyhow::Result<()> {
    let (repo, remote) = (args.common.open()?, remote_name(&args.name)?);
    let out = &mut session.out;
    for cookie in cookies_of(&repo, &remote)? {
        let Cookie { domain, path, secure, expires_secs, name, value } = cookie;
        writeln!(out, "--\nDomain: {domain}\nPath: {path}\nName: {name}\nSecure: {secure}")?;
        let expires = i64::try_from(expires_secs).ok().and_then(|secs| DateTime::from_timestamp(secs, 0));
        if let Some(expires) = expires {
            writeln!(out, "Expires: {}", expires.format("%Y-%m-%d %H:%M:%S +0000"))?;
        }
        writeln!(out, "Value: {value}")?;
    }
    Ok(())
}

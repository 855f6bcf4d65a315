//! A secured pool, as deploy/nats/secured.conf makes it.

mod authority;
mod canary;
mod configuration;
mod permissions;
mod plain_text;
mod refusals;
mod site;

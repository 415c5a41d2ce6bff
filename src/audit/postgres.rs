//! Databases of PostgreSQL that take records.

use std::error::Error as _;
use std::io;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::Record;
use super::connection_string::{ConnectionString, UNREADABLE};
use super::target::{Defaults, Target};
use crate::keys::block_on;
use crate::os_error::os_text;

/// The statement of the reference (publish-audit.md §B2).
const INSERT: &str = "INSERT INTO audit_event (action, username, file) VALUES ($1, $2, $3)";

/// How long the database may take for a record, a new connection included: a table can be locked.
const LIMIT: Duration = Duration::from_secs(30);

/// After so much silence the connection may have died unnoticed, as with a network that is gone: it is tried before it
/// is relied upon.
const IDLE: Duration = Duration::from_secs(1);

/// How long a connection that works takes to answer at most.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// Why a database does not take records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The connection string without its password.
    pub database: String,
    /// What happened.
    pub reason: String,
    /// What can be done.
    pub hint: Option<&'static str>,
}

/// A database that is connected.
pub struct Database {
    shown: String,
    target: Target,
    session: Mutex<Session>,
}

/// A connection, and when something last came from it.
struct Session {
    client: Client,
    heard: Instant,
}

/// Connects to all of them, or says why not to each that fails.
pub fn connect<'a>(
    strings: impl IntoIterator<Item = &'a str>,
    defaults: &Defaults,
) -> Result<Vec<Database>, Vec<Failure>> {
    let connections = join_all(strings.into_iter().map(|string| Database::open(string, defaults)));
    let databases = block_on(connections)
        .map_err(|reason| vec![Failure { database: UNREADABLE.to_owned(), reason, hint: None }])?;
    let (open, failed): (Vec<_>, Vec<_>) = databases.into_iter().partition(Result::is_ok);
    if failed.is_empty() {
        Ok(open.into_iter().filter_map(Result::ok).collect())
    } else {
        Err(failed.into_iter().filter_map(Result::err).collect())
    }
}

impl Database {
    async fn open(string: &str, defaults: &Defaults) -> Result<Self, Failure> {
        let ConnectionString { parameters, shown } =
            ConnectionString::parse(string).map_err(|reason| Problem::from(reason).of(UNREADABLE))?;
        let target = Target::new(parameters, defaults).map_err(|reason| Problem::from(reason).of(&shown))?;
        let client = target.connect().await.map_err(|problem| problem.of(&shown))?;
        Ok(Self { shown, target, session: Mutex::new(Session::new(client)) })
    }

    /// Writes a record. When this returns, the database has it.
    pub fn record(&self, record: &Record<'_>) -> Result<(), Failure> {
        let insertion = async {
            let insertion = timeout(LIMIT, self.insert(record)).await;
            insertion.unwrap_or_else(|_| Err(Problem::late(LIMIT)))
        };
        let result = block_on(insertion).unwrap_or_else(|reason| Err(reason.into()));
        result.map_err(|problem| problem.of(&self.shown))
    }

    /// A connection that broke while nobody used it, during an edit say, is made anew. If it broke just now the record
    /// may be there twice, which is better than not at all.
    async fn insert(&self, record: &Record<'_>) -> Result<(), Problem> {
        let mut session = self.session.lock().await;
        if session.is_dead().await {
            *session = self.reconnect().await?;
        }
        match session.insert(record).await {
            Err(error) if error.is_closed() => {
                *session = self.reconnect().await?;
                Ok(session.insert(record).await?)
            }
            result => Ok(result?),
        }
    }

    async fn reconnect(&self) -> Result<Session, Problem> {
        let client = self.target.connect().await.map_err(|problem| Problem {
            reason: format!("the connection was lost, and there is no new one: {}", problem.reason),
            ..problem
        })?;
        Ok(Session::new(client))
    }
}

impl Session {
    fn new(client: Client) -> Self {
        Self { client, heard: Instant::now() }
    }

    /// Whether nothing comes any more from a connection that was silent for some time.
    async fn is_dead(&self) -> bool {
        self.client.is_closed()
            || self.heard.elapsed() >= IDLE
                && !matches!(timeout(SIGN_OF_LIFE, self.client.check_connection()).await, Ok(Ok(())))
    }

    async fn insert(&mut self, record: &Record<'_>) -> Result<(), Error> {
        let (event, user, file) = (record.event.name(), record.user, record.file);
        self.client.execute(INSERT, &[&event, &user, &file]).await?;
        self.heard = Instant::now();
        Ok(())
    }
}

impl Target {
    async fn connect(&self) -> Result<Client, Problem> {
        timeout(self.limit, self.try_modes()).await.unwrap_or_else(|_| Err(Problem::late(self.limit)))
    }

    async fn try_modes(&self) -> Result<Client, Problem> {
        let mut result = Err(Problem::from("there is no way to connect".to_owned()));
        for mode in self.modes {
            let mut config = self.config.clone();
            config.ssl_mode(*mode);
            result = match &self.tls {
                Some(tls) => match config.connect(MakeRustlsConnect::new(tls.clone())).await {
                    Ok((client, connection)) => {
                        tokio::spawn(connection);
                        ask(client).await
                    }
                    Err(error) => Err(error.into()),
                },
                None => match config.connect(NoTls).await {
                    Ok((client, connection)) => {
                        tokio::spawn(connection);
                        ask(client).await
                    }
                    Err(error) => Err(error.into()),
                },
            };
            if result.is_ok() {
                break;
            }
        }
        result
    }
}

/// Whether the database answers (publish-audit.md §B1).
async fn ask(client: Client) -> Result<Client, Problem> {
    let answer: i32 = client.query_one("SELECT 1", &[]).await?.try_get(0)?;
    match answer {
        1 => Ok(client),
        other => Err(format!("Database malfunction: SELECT 1 should return 1, but returned {other}").into()),
    }
}

/// A failure whose database is not named yet.
struct Problem {
    reason: String,
    hint: Option<&'static str>,
}

impl Problem {
    fn late(limit: Duration) -> Self {
        let hint = Some("check the network, and whether the table audit_event is locked");
        Self { reason: format!("no answer within {limit:?}"), hint }
    }

    fn of(self, database: &str) -> Failure {
        Failure { database: database.to_owned(), reason: self.reason, hint: self.hint }
    }
}

impl From<String> for Problem {
    fn from(reason: String) -> Self {
        Self { reason, hint: None }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let reason = reason(&error);
        let hint = match error.code() {
            Some(code) => hint_for_code(code),
            None => hint_for_text(&reason),
        };
        Self { reason, hint }
    }
}

/// The words of the server with their code, or all that led to the error.
fn reason(error: &Error) -> String {
    if let Some(answer) = error.as_db_error() {
        return format!("{} ({})", answer.message(), answer.code().code());
    }
    let mut reason = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.downcast_ref::<io::Error>().map_or_else(|| error.to_string(), os_text);
        reason += &format!(": {text}");
        cause = error.source();
    }
    reason
}

fn hint_for_code(code: &SqlState) -> Option<&'static str> {
    Some(match *code {
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            "check the user and the password, and which connections pg_hba.conf of the server allows"
        }
        SqlState::INSUFFICIENT_PRIVILEGE => {
            "the role needs INSERT on the table audit_event and USAGE on the sequence audit_event_id_seq"
        }
        SqlState::UNDEFINED_TABLE | SqlState::UNDEFINED_COLUMN => {
            "the administrator creates the table audit_event; docs/audit.md has its definition"
        }
        _ => return None,
    })
}

const UNTRUSTED: &str = "sslrootcert names the file with the certificate of the authority, or of the server";

fn hint_for_text(reason: &str) -> Option<&'static str> {
    let hints = [
        ("does not support TLS", "switch on TLS in the server; sslmode=disable connects without encryption"),
        ("UnknownIssuer", UNTRUSTED),
        // somebody of the same name has signed it
        ("BadSignature", UNTRUSTED),
        (
            "password missing",
            "a password stands in the connection string, in PGPASSWORD or in ~/.pgpass (mode 0600)",
        ),
    ];
    hints.into_iter().find(|(text, _)| reason.contains(text)).map(|(_, hint)| hint)
}

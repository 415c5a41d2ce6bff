//! A PostgreSQL server of our own: in a folder of its own, on a free port, with passwords and TLS.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::fetched::or_skip;

pub(crate) const PASSWORD: &str = "hunter2/@:";

/// Who signed the certificate of the server, which is for `localhost`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signed {
    ByAuthority,
    /// And calls itself an authority, as the manual of PostgreSQL has it.
    ByItself,
}

pub(crate) struct Server {
    folder: TempDir,
    programs: PathBuf,
    pub(crate) port: u16,
    process: Child,
}

/// One for all tests that run at the same time.
static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());

/// A server, or word that there is none on this machine.
pub(crate) fn shared() -> Option<Arc<Server>> {
    let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(server) = shared.upgrade() {
        return Some(server);
    }
    let server = Arc::new(Server::start(Signed::ByAuthority)?);
    *shared = Arc::downgrade(&server);
    Some(server)
}

impl Server {
    pub(crate) fn start(signed: Signed) -> Option<Self> {
        let programs = programs()?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = folder.path().join("data");
        fs::write(folder.path().join("password"), PASSWORD).expect("our own folder");
        give_away(folder.path());
        give_away(&folder.path().join("password"));
        let password_file = format!("--pwfile={}", folder.path().join("password").display());
        let arguments = ["--username=postgres", "--auth=scram-sha-256", "--no-sync", "--encoding=UTF8"];
        let made = as_nobody_special(programs.join("initdb"))
            .args(arguments)
            .args([&password_file, "--pgdata"])
            .arg(&data)
            .output()
            .expect("initdb");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        certify(folder.path(), &data, signed);
        fs::write(data.join("pg_hba.conf"), RULES).expect("our own folder");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let port = port.expect("a free port").port();
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\nssl = on\nfsync = off\n",
            folder.path().display()
        );
        fs::write(data.join("postgresql.auto.conf"), settings).expect("our own folder");
        let process = as_nobody_special(programs.join("postgres"))
            .arg("-D")
            .arg(&data)
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).expect("our own folder"))
            .spawn()
            .expect("postgres");
        let server = Self { folder, programs, port, process };
        server.wait();
        for role in ["sops", "only_tls", "no_tls", "intruder"] {
            server.ask("postgres", &format!("CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'"));
        }
        Some(server)
    }

    fn wait(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.psql("postgres").args(["-c", "SELECT 1"]).output().expect("psql").status.success() {
            assert!(Instant::now() < deadline, "{}", self.log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("a log")
    }

    /// The folder of its socket.
    pub(crate) fn socket(&self) -> String {
        self.folder.path().display().to_string()
    }

    /// What to trust.
    pub(crate) fn authority(&self) -> String {
        self.folder.path().join("authority.pem").display().to_string()
    }

    /// A command of the administrator.
    pub(crate) fn psql(&self, database: &str) -> Command {
        let mut command = Command::new(self.programs.join("psql"));
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]);
        command.args(["-h", &self.socket(), "-p", &self.port.to_string(), "-U", "postgres", "-d", database]);
        command.env("PGPASSWORD", PASSWORD);
        command
    }

    pub(crate) fn ask(&self, database: &str, statement: &str) -> String {
        let answer = self.psql(database).args(["-c", statement]).output().expect("psql");
        assert!(answer.status.success(), "{statement}: {}", String::from_utf8_lossy(&answer.stderr));
        String::from_utf8(answer.stdout).expect("text")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // the quick way to stop: sessions are ended
        let id = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw).expect("our own child");
        let _ = kill_process(id, Signal::INT);
        let _ = self.process.wait();
    }
}

/// Some may only come encrypted, some only in clear.
const RULES: &str = "\
local     all  all       scram-sha-256
hostnossl all  only_tls  127.0.0.1/32  reject
hostssl   all  no_tls    127.0.0.1/32  reject
host      all  all       127.0.0.1/32  scram-sha-256
";

fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin")).find(|bin| bin.join("initdb").is_file());
    or_skip("PostgreSQL", found)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The user and group of Debian's package.
fn postgres_user() -> (u32, u32) {
    let id = |flag| {
        let output = Command::new("id").args([flag, "postgres"]).output().expect("id");
        String::from_utf8_lossy(&output.stdout).trim().parse().expect("the user postgres")
    };
    (id("-u"), id("-g"))
}

/// PostgreSQL does not run as root.
fn as_nobody_special(program: PathBuf) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").stdin(Stdio::null()).env("LC_ALL", "C.UTF-8");
    if is_root() {
        let (user, group) = postgres_user();
        command.uid(user).gid(group);
    }
    command
}

fn give_away(path: &Path) {
    if is_root() {
        let (user, group) = postgres_user();
        chown(path, Some(user), Some(group)).expect("root may");
    }
}

fn certify(folder: &Path, data: &Path, signed: Signed) {
    let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().expect("a key");
    let root = parameters.self_signed(&key).expect("a certificate");
    let (certificate, key) = match signed {
        Signed::ByItself => (root.pem(), key.serialize_pem()),
        Signed::ByAuthority => {
            let issuer = rcgen::Issuer::new(parameters, key);
            let own_key = rcgen::KeyPair::generate().expect("a key");
            let own = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
            (own.signed_by(&own_key, &issuer).expect("a certificate").pem(), own_key.serialize_pem())
        }
    };
    fs::write(folder.join("authority.pem"), root.pem()).expect("our own folder");
    for (name, text) in [("server.crt", certificate), ("server.key", key)] {
        let path = data.join(name);
        fs::write(&path, text).expect("our own folder");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("our own file");
        give_away(&path);
    }
}

//! Ansible's collection `community.sops`: lookup, filter, variables and modules, in playbooks that check themselves.

use std::path::PathBuf;

use super::support::keys::age_identities;
use super::support::outcome::{Ending, Outcome};
use super::{Desk, fetched, script, text};

/// A project of Ansible that works on this machine only.
struct Project {
    desk: Desk,
    playbook: PathBuf,
    collections: String,
}

impl Project {
    fn new() -> Option<Self> {
        let playbook = fetched("venv/bin/ansible-playbook")?;
        let python = fetched("venv/bin/python")?;
        let collections = fetched("collections")?.display().to_string();
        let desk = Desk::new();
        let host =
            format!("localhost ansible_connection=local ansible_python_interpreter={}\n", python.display());
        desk.scratch.write("inventory", host.as_bytes());
        desk.scratch.write(
            "ansible.cfg",
            b"[defaults]\ninventory = inventory\nvars_plugins_enabled = host_group_vars,community.sops.sops\n",
        );
        Some(Self { desk, playbook, collections })
    }

    fn play(&self, name: &str) -> Outcome {
        let script = script(name);
        self.desk
            .run(&self.playbook, &[&script])
            .variable("ANSIBLE_CONFIG", &self.desk.path("ansible.cfg"))
            .variable("ANSIBLE_COLLECTIONS_PATH", &self.collections)
            .variable("WORK", &self.desk.path(""))
            .outcome()
    }

    /// The recap of a playbook that was played well, as in `ok=3 changed=1`.
    fn recap(&self, name: &str) -> String {
        let outcome = self.play(name);
        let output = String::from_utf8_lossy(&outcome.stdout).into_owned();
        assert!(outcome.succeeded(), "{output}\n{}", outcome.messages());
        let recap = output.lines().rfind(|line| line.starts_with("localhost")).expect("a recap");
        recap.split_whitespace().filter(|word| word.contains('=')).take(2).collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn playbooks_read_encrypted_files() {
    let Some(project) = Project::new() else { return };
    let desk = &project.desk;
    desk.seal("group_vars/all.sops.yaml", "from_group: for all hosts\nnumber: 5432\n");
    desk.seal("host_vars/localhost.sops.yaml", "from_host: for this host\n");
    desk.seal("secrets.yaml", "user: app\nlist:\n    - one\n    - two\nlines: |\n    a\n    b\n");
    desk.seal("token.txt", "t0ken\n");
    desk.seal("a.env", "PASSWORD=from dotenv\n");
    assert_eq!(project.recap("read.yaml"), "ok=5 changed=0");
}

#[test]
fn a_module_writes_encrypted_files_once() {
    let Some(project) = Project::new() else { return };
    assert_eq!(project.recap("write.yaml"), "ok=3 changed=3");
    let desk = &project.desk;
    assert!(desk.read("new.yaml").contains("password: ENC["));
    assert_eq!(desk.open("new.yaml"), "password: made by a playbook\nport: 5432\n");
    assert_eq!(desk.open("new.json"), "{\n\t\"a\": [\n\t\t1,\n\t\ttrue\n\t]\n}\n");
    assert_eq!(desk.open("new.txt"), "plain text\n");
    assert_eq!(project.recap("write.yaml"), "ok=3 changed=0");
}

#[test]
fn variables_in_clear_are_told_apart() {
    let Some(project) = Project::new() else { return };
    project.desk.scratch.write("group_vars/all.sops.yaml", b"from_group: in clear\n");
    let refused = project.play("variables.yaml");
    assert_eq!(refused.ending, Ending::Exited(4));
    let told = refused.messages() + &text(refused.stdout);
    assert!(
        told.contains("SOPS vars plugin: file") && told.contains("all.sops.yaml is not encrypted"),
        "{told}"
    );
}

#[test]
fn a_missing_key_is_told() {
    let Some(project) = Project::new() else { return };
    let desk = &project.desk;
    desk.seal("group_vars/all.sops.yaml", "from_group: x\n");
    let identity = age_identities(&["age-mallory".to_owned()]).expect("a test key");
    let outcome = desk
        .run_without_key(&project.playbook, &[&script("variables.yaml")])
        .variable("ANSIBLE_CONFIG", &desk.path("ansible.cfg"))
        .variable("ANSIBLE_COLLECTIONS_PATH", &project.collections)
        .variable("SOPS_AGE_KEY", &identity)
        .outcome();
    assert!(!outcome.succeeded());
    let told = outcome.messages() + &text(outcome.stdout);
    assert!(told.contains("CouldNotRetrieveKey exited with code 128"), "{told}");
}

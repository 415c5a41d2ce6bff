//! `rsops exec-env`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use clap::Args;
use rsops::document::{MacCheck, Variable};

use crate::cli::child::{self, Wait, Words, shell};
use crate::cli::core_dumps::allow_core_dumps;
use crate::cli::error::{CommandError, ExecError};
use crate::cli::open::open;
use crate::cli::options::{ChildOptions, DecryptionOptions, FormatOptions, GlobalOptions, KeyServiceOptions};
use crate::cli::place::{Input, Place, key_services};
use crate::cli::ui::Ui;

/// Run a command with the values of a file as environment variables
///
/// COMMAND is one word for the shell, as in 'printenv PASSWORD'. Signals are forwarded to it, and its exit status is
/// passed on.
#[derive(Args)]
pub(crate) struct ExecEnv {
    #[command(flatten)]
    words: Words,
    /// Give the command no other variables
    #[arg(long, help_heading = "Command")]
    pristine: bool,
    /// Let the command take the place of this program
    #[arg(long, help_heading = "Command")]
    same_process: bool,
    #[command(flatten)]
    child: ChildOptions,
    #[command(flatten)]
    order: DecryptionOptions,
    #[command(flatten)]
    services: KeyServiceOptions,
    // the configuration has no say in this, so that it is not even read
    #[command(flatten)]
    global: GlobalOptions,
}

impl ExecEnv {
    pub(crate) fn run(self) -> Result<(), CommandError> {
        let (file, command) = self.words.file_and_command()?;
        let ui = Arc::new(Ui::new(self.global.verbose));
        let wait = child::background(&ui, "exec-env", self.child.background);
        if self.same_process && wait == Wait::Not {
            return Err(ExecError::SameProcessInBackground.into());
        }
        let variables = self.variables(file, &ui)?;

        let mut command = shell(command);
        if self.pristine {
            command.env_clear();
        }
        command.envs(self.child.switch_user()?.into_iter().flatten());
        set(&mut command, &variables);
        drop(variables);
        if self.same_process {
            // it only comes back if it fails
            allow_core_dumps();
            return Err(ExecError::Start(command.exec()).into());
        }
        child::run(command, wait)
    }

    /// The variables; keys are forgotten when they are there.
    fn variables(&self, file: &Path, ui: &Arc<Ui>) -> Result<Vec<Variable>, CommandError> {
        let place = Place::new(ui.clone(), Input::file(file)?, &FormatOptions::default())?;
        let services = key_services(ui, &self.services)?;
        let document = open(&place, &services, &self.order.order()?, MacCheck::Required, None)?.document;
        Ok(document.variables().map_err(ExecError::Variable)?)
    }
}

/// Later ones win, over each other and over what was there (cli.md §14.1).
fn set(command: &mut Command, variables: &[Variable]) {
    for Variable { name, value } in variables {
        command.env(OsStr::from_bytes(name.as_bytes()), OsStr::from_bytes(value.as_bytes()));
    }
}

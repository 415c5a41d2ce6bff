//! Cases that call the program several times in one folder.

use std::collections::BTreeMap;

use crate::case::{After, Case, Expected, Step, Steps};
use crate::judge::{contains, ends_as, says};
use crate::support::outcome::Exit;
use crate::support::program::Bar;
use crate::support::scratch::Scratch;
use crate::support::text::{same, shape};
use crate::support::{Check, during};

pub(crate) fn judge_steps(case: &Case, steps: &Steps, bar: Bar, scratch: &Scratch) -> Check {
    for (name, file) in &steps.files {
        scratch.write(name, case.file(file));
    }
    for (number, step) in (1..).zip(&steps.steps) {
        let step = match bar {
            Bar::Policy => step.clone(),
            Bar::Reference => step.by_reference(),
        };
        let walk = Walk { case, keys: &steps.use_keys, bar, scratch };
        during(&format!("step {number} `{}`", step.argv.join(" ")), walk.take(&step))?;
    }
    Ok(())
}

struct Walk<'a> {
    case: &'a Case,
    keys: &'a [String],
    bar: Bar,
    scratch: &'a Scratch,
}

impl Walk<'_> {
    fn take(&self, step: &Step) -> Check {
        let call = self.scratch.call(&step.argv).keys(self.keys).variables(&step.env);
        let outcome = call.stdin(step.stdin.as_bytes()).outcome();
        ends_as(&outcome, &Expected::exits(step.exit).saying(step.stderr.clone()))?;
        if let Some(text) = &step.stdout {
            same("stdout", &outcome.normal_stdout(), text.as_bytes())?;
        }
        if let Some(text) = &step.stderr_all {
            says(&outcome, step.exit, text)?;
        }
        if let Some(file) = &step.stdout_shape {
            same("the shape of stdout", &shape(&outcome.stdout), &shape(self.case.file(file)))?;
        }
        step.after.iter().try_for_each(|(name, after)| during(name, self.leaves(name, after)))
    }

    fn leaves(&self, name: &str, after: &After) -> Check {
        if after.absent {
            return if self.scratch.exists(name) { Err("is still there".to_owned()) } else { Ok(()) };
        }
        let got = self.scratch.read(name)?;
        if let Some(file) = &after.same_as {
            same("the text", &got, self.case.file(file))?;
        }
        if let Some(file) = &after.shape_of {
            same("the shape", &shape(&got), &shape(self.case.file(file)))?;
        }
        self.keeps(&got, after)?;
        if after.readable {
            self.opens(name)?;
        }
        match &after.decrypts_to {
            Some(file) => same("the plaintext", &self.opens(name)?, self.case.file(file)),
            None => Ok(()),
        }
    }

    /// Texts that are still there, that are gone, that occur so often.
    fn keeps(&self, got: &[u8], after: &After) -> Check {
        let (mut kept, mut gone) = (after.kept.clone(), after.gone.clone());
        let mut counts = after.count.clone();
        if self.bar == Bar::Reference {
            kept.extend(after.iv_kept_by_reference.iter().cloned());
            gone.extend(after.gone_by_reference.iter().cloned());
            counts.extend(after.count_by_reference.clone());
        }
        if let Some(text) = kept.iter().find(|text| !contains(got, text)) {
            return Err(format!("must still contain {text}"));
        }
        if let Some(text) = gone.iter().find(|text| contains(got, text)) {
            return Err(format!("must no longer contain {text}"));
        }
        occurs(got, &counts)
    }

    fn opens(&self, name: &str) -> Result<Vec<u8>, String> {
        let outcome = self.scratch.call(["decrypt", name]).keys(self.keys).outcome();
        outcome.wants(Exit::Status(0)).map_err(|complaint| format!("cannot be decrypted: {complaint}"))?;
        Ok(outcome.stdout)
    }
}

fn occurs(got: &[u8], counts: &BTreeMap<String, usize>) -> Check {
    for (text, want) in counts {
        let count = memchr::memmem::find_iter(got, text.as_bytes()).count();
        if count != *want {
            return Err(format!("{text} occurs {count} times, want {want}"));
        }
    }
    Ok(())
}

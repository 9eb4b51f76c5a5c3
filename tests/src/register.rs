//! Files as a booking system exports them, of children nobody ever met.

use crate::jpeg::mix;
use jiff::civil::Date;
use std::fmt::Write as _;

const FIRST_NAMES: [&str; 12] = [
    "Ava", "Ben", "Cleo", "Dev", "Esme", "Finn", "Gwen", "Hugo", "Isla", "Jack", "Kit", "Lena",
];
const LAST_NAMES: [&str; 8] = [
    "Ash", "Birch", "Cedar", "Elder", "Hazel", "Linden", "Rowan", "Willow",
];

/// The purposes of every invented register and profile.
const PURPOSES: [&str; 2] = ["own_learning_journal", "display_in_setting"];

#[derive(Clone, Debug)]
struct Child {
    reference: String,
    room: String,
    answer: &'static str,
    valid_until: Option<Date>,
}

/// A register whose children all said Yes to everything, until told otherwise.
#[derive(Clone, Debug)]
pub struct Register {
    answered: Date,
    children: Vec<Child>,
}

impl Register {
    /// `answered`: the day on which every parent answered.
    pub fn new(answered: Date) -> Self {
        Self {
            answered,
            children: Vec::new(),
        }
    }

    /// Children in one room, with references `C001`, `C002` …
    pub fn of(answered: Date, children: usize, room: &str) -> Self {
        (1..=children).fold(Self::new(answered), |register, number| {
            register.child(&format!("C{number:03}"), room)
        })
    }

    pub fn child(mut self, reference: &str, room: &str) -> Self {
        self.children.push(Child {
            reference: reference.to_owned(),
            room: room.to_owned(),
            answer: "Yes",
            valid_until: None,
        });
        self
    }

    pub fn child_until(self, reference: &str, room: &str, last_day: Date) -> Self {
        let mut register = self.child(reference, room);
        if let Some(child) = register.children.last_mut() {
            child.valid_until = Some(last_day);
        }
        register
    }

    pub fn child_refusing(self, reference: &str, room: &str) -> Self {
        let mut register = self.child(reference, room);
        if let Some(child) = register.children.last_mut() {
            child.answer = "No";
        }
        register
    }

    pub fn references(&self) -> impl Iterator<Item = &str> {
        self.children.iter().map(|child| child.reference.as_str())
    }

    pub fn csv(&self) -> String {
        let mut file = format!(
            "reference,first_name,last_name,room,days,answered,valid_until,{}\n",
            PURPOSES.join(",")
        );
        for child in &self.children {
            let until = child
                .valid_until
                .map(|date| date.to_string())
                .unwrap_or_default();
            let (first, last) = invented_name(&child.reference);
            let _ = writeln!(
                file,
                "{},{first},{last},{},,{},{until},{}",
                child.reference,
                child.room,
                self.answered,
                [child.answer; PURPOSES.len()].join(",")
            );
        }
        file
    }
}

fn invented_name(reference: &str) -> (&'static str, &'static str) {
    let seed = mix(reference
        .bytes()
        .fold(0, |seed, byte| seed << 8 | u64::from(byte)));
    let pick = |names: &[&'static str], seed: u64| {
        let index = usize::try_from(seed % names.len() as u64).unwrap_or_default();
        names[index]
    };
    (pick(&FIRST_NAMES, seed), pick(&LAST_NAMES, seed >> 32))
}

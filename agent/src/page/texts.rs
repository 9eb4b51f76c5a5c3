//! Everything the page says, in one place.

use crate::custody::{CustodyError, Holder};
use crate::photos::PhotosError;
use crate::photos::listing::{Deadline, Listing};
use jiff::civil::DateTime;
use nestwarden_policy_schema::access::Reviewed;
use nestwarden_policy_schema::consent::{Cause, RoomName, Stage};
use std::collections::BTreeSet;
use std::time::Duration;

pub(super) const LANGUAGE: &str = "en-GB";
pub(super) const PRODUCT: &str = "Photos";

pub(super) const HOME: &str = "Back to the session";
pub(super) const HOME_CLOSED: &str = "Photos on this tablet";
pub(super) const HOME_CLOSED_LEAD: &str =
    "Start a session before you take photos, so that each photo has the right children.";
pub(super) const ROOMS: &str = "Which rooms is it for?";
pub(super) const START: &str = "Start the session";
pub(super) const SESSION_ENDED: &str = "The session has ended.";

pub(super) const DO_NOT_PHOTOGRAPH: &str = "Do not photograph";
pub(super) const DO_NOT_PHOTOGRAPH_MARK: &str = "do not photograph";
pub(super) const ALL_MAY: &str = "Nobody booked or ticked today has to be left out.";
pub(super) const EMPTY_ROOMS: &str = "Nobody is on the register for these rooms today.";

pub(super) const HERE: &str = "Who is here";
pub(super) const HERE_LEAD: &str = "Tick everyone who is here. Children who are booked today count as here until the photos are sorted.";
pub(super) const BOOKED: &str = "Booked today";
pub(super) const NOT_BOOKED: &str = "Not booked today";
pub(super) const OTHER_ROOMS: &str = "From another room";
pub(super) const OTHER_ROOMS_ASK: &str = "Show children from other rooms";
pub(super) const HERE_SAVE: &str = "Save who is here";
pub(super) const HERE_SAVED: &str = "Saved. You can take photos now.";

pub(super) const NO_NAMES: &str =
    "Names are not available without the server. Children are shown by the end of their id.";
pub(super) const SOME_NAMES: &str =
    "Some names are missing. Those children are shown by the end of their id.";
pub(super) const NAMES_IN_SESSION: &str =
    "Names are shown during a session only. Until then children are shown by the end of their id.";
pub(super) const ASK_AGAIN: &str = "Ask for the names again";

pub(super) const SORT: &str = "Photos to sort";
pub(super) const WHO: &str = "Who is in it?";
pub(super) const LOOK: &str = "Press to see the photo";
pub(super) const LOOK_AGAIN: &str = "Show or blur the photo";
pub(super) const MORE_CHILDREN: &str = "More children";
pub(super) const UNREGISTERED: &str = "Someone not on the register";
pub(super) const NO_CHILD: &str = "No child";
pub(super) const EVERYONE_NAMED: &str = "Everyone is named";
pub(super) const LATER: &str = "Later";
pub(super) const SORTED: &str = "Sorted.";
pub(super) const ADD_TO_IT: &str = "Add a name to it";
pub(super) const ADDING: &str =
    "Names can be added here, not taken away. If one is wrong, tell the manager.";
pub(super) const NOBODY_TICKED: &str = "Tick who is in it first, or press “No child”.";
pub(super) const TICKED_AND_NO_CHILD: &str =
    "Somebody is ticked and you pressed “No child”. Untick them, or press “Everyone is named”.";
pub(super) const LOCKED_AWAY: &str =
    "It is locked away, and nobody can look at it here. Who is in it can still be added.";
pub(super) const NOT_SHOWN: &str = "This kind of picture cannot be shown here.";
pub(super) const SORT_NEEDS_SESSION: &str =
    "Start a session to sort photos: the names come with it.";

pub(super) const PHOTOS: &str = "What happens to the photos";
pub(super) const PHOTOS_NONE: &str = "There are no photos on this tablet.";
pub(super) const ADD_NAME: &str = "Add a name";
pub(super) const SORT_THIS: &str = "Sort it";
pub(super) const NO_CHILD_IN_IT: &str = "No child in it";
pub(super) const NOBODY_SAID: &str = "Nobody said who is in it";
pub(super) const AND_SOMEONE: &str = "someone not on the register";

pub(super) const END: &str = "End the session";
pub(super) const END_LEFT_LEAD: &str =
    "They stay out of sight or blurred here, and can be sorted in the next session.";
pub(super) const END_DONE_LEAD: &str = "Every photo says who is in it.";
pub(super) const END_ANYWAY: &str = "End the session now";
pub(super) const SORT_FIRST: &str = "Sort them first";

pub(super) const REVIEW: &str = "Photos asked for";
pub(super) const REVIEW_NONE: &str = "No photos are asked for.";
pub(super) const REVIEW_OPEN: &str = "Look at this request";
pub(super) const REVIEW_TYPE: &str = "Fingerprint from the safeguarding lead's sheet";
pub(super) const REVIEW_TYPE_WHY: &str = "Four groups of four letters and digits. It is not shown here on purpose: the tablet compares it, so that photos can only go to whoever made the sheet.";
pub(super) const REVIEW_BEGIN: &str = "Begin";
pub(super) const REVIEW_DIFFERS: &str = "That is not the fingerprint of this request. Check what you typed. If it is what the sheet says, stop, and tell the safeguarding lead: nothing is shown and nothing is sent.";
pub(super) const REVIEW_WAIT: &str =
    "That was wrong too often. Wait ten minutes, and check the sheet with the safeguarding lead.";
pub(super) const REVIEW_INCLUDE: &str = "Include it";
pub(super) const REVIEW_OTHERS: &str = "Others are in it";
pub(super) const REVIEW_NOT: &str = "Not this child";
pub(super) const REVIEW_UNSEEN: &str =
    "This one cannot be looked at here. Include it only if you know what is in it.";
pub(super) const REVIEW_AGAIN: &str = "Look again";
pub(super) const REVIEW_FINISH_LEAD: &str = "Nothing has been sent so far. What you include goes to the safeguarding lead, encrypted to the key of the sheet; nothing can be changed afterwards.";
pub(super) const REVIEW_SENT_LEAD: &str =
    "The rest goes when the server can be reached. You can close this page.";

pub(super) const CUSTODY_TAKE: &str = "Sign out this tablet";
pub(super) const CUSTODY_WHO: &str = "Who takes it?";
pub(super) const CUSTODY_NOT_LISTED: &str = "Who is not listed, and why";
pub(super) const CUSTODY_SOMEBODY_ELSE: &str = "That is not me";
pub(super) const CUSTODY_PIN: &str = "Your PIN";
pub(super) const CUSTODY_ROOM: &str = "For which room?";
pub(super) const CUSTODY_NO_ROOM: &str = "No room in particular";
pub(super) const CUSTODY_DUE: &str = "Back by";
pub(super) const CUSTODY_NOTICE: &str = "Before you use it: what it observes";
pub(super) const CUSTODY_OBSERVES: &str = "This tablet tells your setting who signed it out and until when, when it was changed against its rules and put right, how often an app was refused, and how many photos there are. It tells nothing of what you type, say or send, and takes no pictures of the screen.";
pub(super) const CUSTODY_TAKEN: &str = "Signed out. It is yours until you sign it in.";
pub(super) const CUSTODY_BACK: &str = "Signed in. Thank you.";
pub(super) const CUSTODY_BRING_BACK: &str = "Sign it in";
pub(super) const CUSTODY_BACK_BY_ANOTHER: &str = "Somebody else signs it in";
pub(super) const CUSTODY_BACK_BY_OFFICE: &str =
    "Where nobody can, the office writes down that it is back.";
pub(super) const CUSTODY_OVERDUE: &str = "It should be back already.";
pub(super) const CUSTODY_MAY_NOT: &str =
    "By the office's word they have no tablet at the moment. Bring it back, or tell the office.";
pub(super) const CUSTODY_UNKNOWN: &str =
    "Who has this tablet cannot be read just now. Tell the manager if it stays so.";
pub(super) const CUSTODY_BEFORE_SESSION: &str = "Nobody has signed this tablet out yet. Sign it out first: a session shows the children's names, and they are for whoever has it.";
pub(super) const CUSTODY_START_ANYWAY: &str = "Start without signing it out";
pub(super) const CUSTODY_HOME: &str = "Back";

/// Where the browser goes once it was done.
pub(super) const TAKEN_PATH: &str = "/?taken=1";
pub(super) const BACK_PATH: &str = "/?back=1";

pub(super) const MESSAGE: &str = "Message from your setting";
pub(super) const MESSAGE_READ: &str = "Read";
pub(super) const LOST: &str = "This tablet is marked as lost";

pub(super) const PROBLEM: &str = "That did not work";
pub(super) const REFUSED_COOKIE: &str = "This page has to be opened from the tablet's own Photos icon. Close it and open it from there.";
pub(super) const REFUSED_ELSEWHERE: &str = "Only this tablet's own Photos page may ask for that.";
pub(super) const REFUSED_PAGE: &str = "There is no such page.";
pub(super) const REFUSED_REQUEST: &str = "What was sent could not be read. Go back and try again.";

/// Names nobody but the setting.
pub(super) fn lost(setting: Option<&str>) -> String {
    format!(
        "Please hand it to {}.",
        setting.unwrap_or("the nursery it belongs to")
    )
}

pub(super) fn nameless(short: &str) -> String {
    format!("Child {short}")
}

pub(super) fn rooms(rooms: &BTreeSet<RoomName>) -> String {
    if rooms.is_empty() {
        return "The whole setting".to_owned();
    }
    let names: Vec<&str> = rooms.iter().map(RoomName::as_str).collect();
    names.join(", ")
}

pub(super) fn here_count(ticked: usize, booked: usize) -> String {
    format!("{ticked} ticked, {booked} booked today")
}

pub(super) fn left(count: usize) -> String {
    match count {
        1 => "1 left to sort".to_owned(),
        crate::photos::viewing::MOST_COUNTED.. => format!("{count} or more left to sort"),
        _ => format!("{count} left to sort"),
    }
}

pub(super) fn taken(at: DateTime) -> String {
    format!("Taken {}", moment(at))
}

pub(super) fn picture(position: usize, at: DateTime) -> String {
    format!("Photo {position}, taken {}", moment(at))
}

pub(super) fn same(names: &[String]) -> String {
    format!("Same as before: {}", names.join(", "))
}

pub(super) fn newest(count: usize) -> String {
    format!("The newest {count} photos.")
}

pub(super) fn first_goes(deadline: &Deadline) -> String {
    format!(
        "Unless somebody sorts them, the first goes on {}.",
        moment(deadline.at_local)
    )
}

pub(super) fn review_waits(count: usize) -> String {
    match count {
        1 => "1 request for photos to look through".to_owned(),
        _ => format!("{count} requests for photos to look through"),
    }
}

pub(super) fn review_people(asked: &str, agreed: &str) -> String {
    format!("{asked} asked for the photos, and {agreed} agreed.")
}

pub(super) fn review_until(photos: usize, until: DateTime) -> String {
    match photos {
        1 => format!("1 photo, until {}", moment(until)),
        _ => format!("{photos} photos, until {}", moment(until)),
    }
}

pub(super) fn review_left(child: &str, left: usize) -> String {
    format!("{child}: {left} left to look at")
}

pub(super) fn review_others(others: usize, perhaps_more: bool) -> String {
    let known = match others {
        0 => "Nobody said that another child is in it.".to_owned(),
        1 => "1 other child is in it.".to_owned(),
        _ => format!("{others} other children are in it."),
    };
    if perhaps_more {
        format!("{known} There may be somebody nobody named: look closely.")
    } else {
        known
    }
}

pub(super) fn reviewed(said: Reviewed) -> &'static str {
    match said {
        Reviewed::Include => "included",
        Reviewed::OthersInIt => "left out: others are in it",
        Reviewed::NotThisChild => "left out: not this child",
    }
}

pub(super) fn review_sum(included: usize, others: usize, not: usize) -> String {
    format!("{included} included, {others} left out for others in them, {not} of another child.")
}

pub(super) fn review_finish(included: usize) -> String {
    match included {
        0 => "Finish, and send none".to_owned(),
        1 => "Finish, and send 1 photo".to_owned(),
        _ => format!("Finish, and send {included} photos"),
    }
}

pub(super) fn review_sent(sent: usize, included: usize) -> String {
    format!("{sent} of {included} sent")
}

pub(super) fn custody_with(name: &str) -> String {
    format!("{name} has this tablet")
}

pub(super) fn custody_since(holder: &Holder) -> String {
    let room = holder.room.as_ref();
    let room = room.map_or_else(String::new, |room| format!(" for {}", room.as_str()));
    let (since, due) = (moment(holder.since), moment(holder.due));
    format!("Signed out on {since}{room}, due back on {due}.")
}

pub(super) fn custody_pin_of(name: &str) -> String {
    format!("{name} signs it in")
}

pub(super) fn custody_agree(version: &str) -> String {
    format!("I have read this, and I agree to the acceptable use policy, version {version}.")
}

pub(super) fn custody_old(issued: DateTime) -> String {
    format!(
        "What this tablet knows of staff is of {}, older than it should be. You can go on; it needs the network.",
        moment(issued)
    )
}

pub(super) fn custody_problem(error: &CustodyError, holder: Option<&Holder>) -> String {
    match error {
        CustodyError::Wrong { wait } if wait.is_zero() => {
            "That is not the PIN. Try again.".to_owned()
        }
        CustodyError::Wrong { wait } => {
            format!("That is not the PIN. The next try is in {}.", length(*wait))
        }
        CustodyError::Wait { wait } => format!(
            "Too many PINs were wrong. Wait {}, or let somebody else do it.",
            length(*wait)
        ),
        CustodyError::Taken => holder.map_or_else(
            || "Somebody was quicker. Look again.".to_owned(),
            |holder| {
                let since = moment(holder.since);
                format!(
                    "{} has had it since {since}. Sign it in first.",
                    holder.name
                )
            },
        ),
        CustodyError::NotTaken => "Nobody has it any more: it is signed in already.".to_owned(),
        CustodyError::MayNot(why) => why.clone(),
        CustodyError::MustAgree => {
            "Read what is said below, and tick it. Then type your PIN.".to_owned()
        }
        CustodyError::DueBefore => {
            "Write a time today that is still to come, and type your PIN again.".to_owned()
        }
        CustodyError::Room => {
            "This tablet is not used in that room. Choose another one.".to_owned()
        }
        CustodyError::NoBundle | CustodyError::Ended | CustodyError::Ledger(_) => {
            "Something went wrong on the tablet. Try again, and tell the manager if it stays."
                .to_owned()
        }
    }
}

/// Rounded up, so that nobody tries too early.
fn length(wait: Duration) -> String {
    match wait.as_secs().div_ceil(5) * 5 {
        seconds @ ..60 => format!("{seconds} seconds"),
        60 => "1 minute".to_owned(),
        seconds => format!("{} minutes", seconds.div_ceil(60)),
    }
}

/// `Mon 7 Sep, 10:30`
fn moment(at: DateTime) -> String {
    at.strftime("%a %-d %b, %H:%M").to_string()
}

/// Where a photo is, why, and what comes next.
pub(super) fn standing(photo: &Listing) -> String {
    let now = match photo.stage {
        _ if photo.frozen => {
            return "Kept as it is until the safeguarding lead decides.".to_owned();
        }
        Stage::Live => "In use".to_owned(),
        Stage::Withheld => because("Out of sight", photo.why),
        Stage::Sealed => because("Locked away", photo.why),
        Stage::Destroyed => "Destroyed".to_owned(),
    };
    let Some(next) = &photo.deadline else {
        return format!("{now}.");
    };
    let act = match next.stage {
        Stage::Live => "comes back",
        Stage::Withheld => "goes out of sight",
        Stage::Sealed => "is locked away",
        Stage::Destroyed => "is destroyed",
    };
    let why = if photo.why == Some(next.cause) {
        String::new()
    } else {
        format!(", because {}", cause(next.cause))
    };
    format!("{now}. On {} it {act}{why}.", moment(next.at_local))
}

fn because(stage: &str, why: Option<Cause>) -> String {
    why.map_or_else(
        || stage.to_owned(),
        |why| format!("{stage}, because {}", cause(why)),
    )
}

/// Never which child, and of a restriction never why.
fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::Withdrawn => "consent was withdrawn",
        Cause::Expired => "consent has run out",
        Cause::NoConsent => "somebody in it has no consent",
        Cause::NoCommonPurpose => "those in it agreed to no use in common",
        Cause::PossibleChild => "not everybody who may be in it agreed to a use of it",
        Cause::Restricted => "somebody in it is not to be photographed",
        Cause::Left => "somebody in it has left",
        Cause::NotOnRegister => "somebody in it is missing from the register",
        Cause::UnregisteredPerson => "somebody in it is not on the register",
        Cause::Untagged => "nobody said who is in it",
        Cause::Uploaded => "it was uploaded",
        Cause::MaximumAge => "it is old enough to go",
        Cause::Lease => "the tablet has been without the server for too long",
        Cause::Lost => "the tablet is marked as lost",
    }
}

pub(super) fn problem(error: &PhotosError) -> &'static str {
    match error {
        PhotosError::TagsLoosened(_) => {
            "Somebody already said who is in this photo. Names can be added here; only the manager can take one back."
        }
        PhotosError::Sealed(_) => {
            "This photo is sealed. Only the manager can say that nobody else is in it."
        }
        PhotosError::NoSuchPhoto(_) => "That photo is no longer on this tablet.",
        PhotosError::NotShown(_) => "That photo cannot be shown.",
        PhotosError::NoSuchChild(_) => {
            "That child is not on this tablet's register. Choose “Someone not on the register” instead."
        }
        PhotosError::SessionOpen(_) => "A session is open already. End it first.",
        PhotosError::NoSession => "The session has ended. Start one first.",
        PhotosError::NoRequest(_) => {
            "That request is over, or was taken back. Nothing is sent for it."
        }
        PhotosError::ReviewNotBegun => {
            "Type the fingerprint from the safeguarding lead's sheet first."
        }
        PhotosError::ReviewFinished => "This was finished already; what was said stands.",
        PhotosError::ReviewUnfinished(_) => {
            "Some photos were not looked at yet. Go through them first."
        }
        PhotosError::TooManyIncluded { .. } => {
            "More photos are included than were asked for. Ask the safeguarding lead for a larger request."
        }
        PhotosError::NoBundle => {
            "This tablet has not heard from the server yet. It needs the network once."
        }
        PhotosError::Ledger(_)
        | PhotosError::Damaged(_)
        | PhotosError::Io(_)
        | PhotosError::TaskEnded => {
            "Something went wrong on the tablet. Try again, and tell the manager if it stays."
        }
    }
}

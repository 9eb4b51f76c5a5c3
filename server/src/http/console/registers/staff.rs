//! Who works here: the list, and one person's page with training, the policy they acknowledged, and when they leave.

use super::filled::{Filled, Need, chosen, code, day, day_if_any, options};
use super::parts::{Filter, Telling, act, answered, erase, history, is_erasing};
use super::{PLACE, aup, found, hand, pin, registers};
use crate::domain::registers::aup::{Audience, AupVersion, current};
use crate::domain::registers::pin::on_tablets;
use crate::domain::registers::staff::{
    self, Act, Job, Method, Post, Staff, Standing, course_name, signs_in_as, standing,
};
use crate::domain::registers::words::{Read, Words};
use crate::domain::registers::{self, Kept, Refused, RegisterError, has_one_of};
use crate::http::app::App;
use crate::http::console::form::Form;
use crate::http::console::gate::Visitor;
use crate::http::console::layout::{Tone, badge, empty, page, table, token};
use crate::http::console::page::Page;
use crate::http::console::when::{When, day as shown_day};
use crate::http::error::ApiError;
use crate::storage::{Operator, Role, Which};
use axum::extract::{Extension, Path, Query, State};
use axum::response::Response;
use jiff::civil::Date;
use maud::{Markup, html};
use nestwarden_policy_schema::id::{EntryId, OperatorId};

/// Who suspends somebody, and sees why somebody is.
const SUSPENDERS: [Role; 2] = [Role::Dsl, Role::Manager];

const LABELS: [(&str, &str); 4] = [
    ("name", "Name"),
    ("shown", "On tablets"),
    ("why", "Why"),
    ("note", "Note"),
];

const JOBS: [Job; 7] = [
    Job::Practitioner,
    Job::RoomLeader,
    Job::Manager,
    Job::Safeguarding,
    Job::Office,
    Job::Student,
    Job::Agency,
];

const METHODS: [Method; 3] = [Method::OnPaper, Method::OnScreen, Method::InPerson];

const fn job(job: Job) -> &'static str {
    match job {
        Job::Practitioner => "Practitioner",
        Job::RoomLeader => "Room leader",
        Job::Manager => "Manager",
        Job::Safeguarding => "DSL or deputy",
        Job::Office => "Office or kitchen",
        Job::Student => "Student or volunteer",
        Job::Agency => "Agency",
    }
}

const fn method(method: Method) -> &'static str {
    match method {
        Method::OnPaper => "Signed on paper",
        Method::OnScreen => "Read and agreed on screen",
        Method::InPerson => "Read out and agreed in person",
        Method::OnTablet => "Agreed on a tablet, with their PIN",
    }
}

fn path_of(id: EntryId) -> String {
    format!("/staff/{id}")
}

/// As it was written last.
pub(super) fn name(app: &App, kept: &Kept<Staff>) -> String {
    let lines = kept.lines.iter().rev();
    let named = lines.filter(|line| line.act.post().is_some());
    let mut read = named.map(|line| registers(app).read(line));
    match read.next() {
        Some(Read::Words(words)) if !words.of("name").is_empty() => words.of("name").to_owned(),
        Some(Read::Unreadable) => "A name that cannot be opened".to_owned(),
        Some(Read::Words(_) | Read::Erased { .. }) | None => "A name that was erased".to_owned(),
    }
}

pub(super) async fn everybody(app: &App) -> Result<Vec<Kept<Staff>>, ApiError> {
    let all = registers::list::<Staff>(&app.storage, Which::All).await;
    all.map_err(ApiError::internal)
}

pub(super) async fn versions(app: &App) -> Result<Vec<Kept<AupVersion>>, ApiError> {
    let all = registers::list::<AupVersion>(&app.storage, Which::Open).await;
    all.map_err(ApiError::internal)
}

pub(super) fn says_standing(standing: Standing) -> Markup {
    html! {
        @match standing {
            Standing::Ready => (badge(Tone::Good, "May have a tablet")),
            Standing::Grace { until } => { (badge(Tone::Watched, "New policy waits")) " until " (shown_day(until)) }
            Standing::NotHere => (badge(Tone::Open, "Not here")),
            Standing::Suspended => (badge(Tone::Bad, "Suspended")),
            Standing::NotInducted => (badge(Tone::Bad, "No policy acknowledged")),
            Standing::AupOutOfDate => (badge(Tone::Bad, "Policy out of date")),
        }
    }
}

pub(in crate::http) async fn list(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Query(filter): Query<Filter>,
) -> Result<Page, ApiError> {
    listed(&app, &visitor, &filter, None).await
}

async fn listed(
    app: &App,
    visitor: &Visitor,
    filter: &Filter,
    sent: Option<(&Form, &Refused)>,
) -> Result<Page, ApiError> {
    let when = When::of(app).await?;
    let today = when.today();
    let all = everybody(app).await?;
    let versions = versions(app).await?;
    let people = operators(app).await?;
    let is_shown = |kept: &&Kept<Staff>| {
        filter.which() == Which::All || kept.now.last_day.is_none_or(|last| today <= last)
    };
    let mut rows: Vec<(String, Vec<Markup>)> = all
        .iter()
        .filter(is_shown)
        .map(|kept| {
            let name = name(app, kept);
            (name.clone(), row(kept, &name, &versions, today))
        })
        .collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    let rows: Vec<Vec<Markup>> = rows.into_iter().map(|(_, row)| row).collect();
    let filled = Filled::new("add", sent);
    let content = html! {
        @if current(&versions, Audience::Staff, today).is_none() {
            p.notice.bad { "No acceptable use policy for staff is in force, so nobody can be handed a tablet. " a href="/aup" { "Publish a version" } " first." }
        }
        (filter.form("/staff", "Who works here", "Also who left"))
        @if rows.is_empty() {
            (empty(&html! { p { "Nobody is on the register of staff yet. Add everybody who may be handed a tablet; begin with yourself." } }))
        } @else {
            (table(&format!("{} people.", rows.len()), &["Name", "Job", "Tablets", "Training"], &rows))
        }
        section.card {
            h2 { "Add somebody" }
            form method="post" action="/staff" {
                (token(visitor))
                (filled.problem())
                (fields(&filled, &people, (&when, None), ""))
                button.main { "Add" }
            }
        }
    };
    Ok(page(visitor, PLACE, "Staff and training", &content))
}

fn row(kept: &Kept<Staff>, name: &str, versions: &[Kept<AupVersion>], today: Date) -> Vec<Markup> {
    let staff = &kept.now;
    let next = staff
        .courses
        .iter()
        .filter_map(|(course, taken)| Some((taken.until?, course)))
        .min();
    vec![
        html! { a href=(path_of(kept.id)) { (name) } },
        html! { (job(staff.post.job)) },
        says_standing(standing(staff, versions, today)),
        html! {
            @if let Some((until, course)) = next {
                @if until < today { (badge(Tone::Bad, "Ran out")) " " }
                (course) " until " (shown_day(until))
            } @else if staff.courses.is_empty() { "None written down" }
        },
    ]
}

async fn operators(app: &App) -> Result<Vec<Operator>, ApiError> {
    app.storage
        .operator_list()
        .await
        .map_err(ApiError::internal)
}

fn fields(
    filled: &Filled<'_>,
    people: &[Operator],
    (when, before): (&When, Option<&Post>),
    name: &str,
) -> Markup {
    let mut signs_in = vec![(String::new(), "Does not sign in here".to_owned())];
    signs_in.extend(people.iter().map(|p| (p.id.to_string(), p.name.clone())));
    let operator = before.and_then(|post| post.operator);
    let operator = operator.map(|id| id.to_string()).unwrap_or_default();
    let start = before.map_or_else(|| when.today(), |post| post.start);
    html! {
        (filled.line_of("name", "Name", "", (Need::Must, name)))
        (filled.choice("job", "Job", "", &options(&JOBS, job), &before.map(|post| code(&post.job)).unwrap_or_default()))
        (filled.day("start", "First day", "", (Need::Must, Some(start))))
        (filled.choice("operator", "Signs in here as", "Somebody of the same name is taken to be the same person.", &signs_in, &operator))
    }
}

fn post_of(form: &Form, people: &[Operator]) -> Result<Post, Refused> {
    let typed = form.text("operator");
    let known = |typed: &str| people.iter().find(|p| p.id.to_string() == typed);
    let operator: Option<OperatorId> = if typed.is_empty() {
        signs_in_as(form.text("name"), people)
    } else {
        let person = known(typed).ok_or_else(|| Refused::at("operator", "Choose one of these."))?;
        Some(person.id)
    };
    Ok(Post {
        job: chosen(form, "job")?,
        start: day(form, "start")?,
        operator,
    })
}

pub(in crate::http) async fn add(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Response, ApiError> {
    let done = added(&app, &visitor, &form).await;
    let again =
        async |refused| listed(&app, &visitor, &Filter::default(), Some((&form, &refused))).await;
    answered(done.map(path_of), again).await
}

async fn added(app: &App, visitor: &Visitor, form: &Form) -> Result<EntryId, RegisterError> {
    let people = app.storage.operator_list().await?;
    let words = Words::default().line("name", form.text("name"))?;
    let act = Act::Add {
        post: post_of(form, &people)?,
    };
    registers(app)
        .begin::<Staff>(&act, &words, None, hand(app, visitor))
        .await
}

pub(in crate::http) async fn show(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<Page, ApiError> {
    shown(&app, &visitor, &found(&app, &visitor, &id).await?, None).await
}

/// Also where an earlier line said so, and a later one took it back.
fn is_about(visitor: &Visitor, kept: &Kept<Staff>) -> bool {
    let mut posts = kept.lines.iter().filter_map(|line| line.act.post());
    posts.any(|post| post.operator == Some(visitor.operator.id))
}

/// Nobody sees why they themselves are suspended here, whatever their role.
fn sees_why(visitor: &Visitor, kept: &Kept<Staff>) -> bool {
    has_one_of(&visitor.operator, &SUSPENDERS) && !is_about(visitor, kept)
}

async fn shown(
    app: &App,
    visitor: &Visitor,
    kept: &Kept<Staff>,
    sent: Option<(&Form, &Refused)>,
) -> Result<Page, ApiError> {
    let when = When::of(app).await?;
    let versions = versions(app).await?;
    let people = operators(app).await?;
    let (path, name) = (path_of(kept.id), name(app, kept));
    let staff = &kept.now;
    let sees_why = sees_why(visitor, kept);
    let telling = Telling {
        says: &|line| says(line, &versions),
        hides: &|line| matches!(line, Act::Suspend | Act::Reinstate) && !sees_why,
        labels: &LABELS,
    };
    // One whose words were erased is none.
    let has_pin = on_tablets(&registers(app), kept).pin.is_some();
    let content = html! {
        section.card {
            p { (says_standing(standing(staff, &versions, when.today()))) }
            dl {
                dt { "Job" } dd { (job(staff.post.job)) }
                dt { "First day" } dd { (shown_day(staff.post.start)) }
                dt { "PIN for tablets" } dd { @if has_pin { "Set" } @else { "None: the office signs tablets out to them" } }
                @if let Some(last) = staff.last_day { dt { "Last day" } dd { (shown_day(last)) } }
            }
        }
        (training(staff, when.today()))
        section.card aria-labelledby="next" {
            h2 id="next" { "Write on" }
            (forms(visitor, (&path, &name, staff), (&when, &versions, &people), sent))
        }
        (history((app, visitor, &when), (&path, kept), sent, &telling))
    };
    Ok(page(visitor, PLACE, &name, &content))
}

fn training(staff: &Staff, today: Date) -> Markup {
    let rows: Vec<Vec<Markup>> = staff
        .courses
        .iter()
        .map(|(course, taken)| {
            vec![
                html! { (course) },
                html! { (shown_day(taken.on)) },
                html! {
                    @match taken.until {
                        None => "Does not run out",
                        Some(until) => { (shown_day(until)) @if until < today { " " (badge(Tone::Bad, "Ran out")) } }
                    }
                },
            ]
        })
        .collect();
    html! { @if !rows.is_empty() { (table("Training.", &["Course", "Taken", "Good until"], &rows)) } }
}

fn forms(
    visitor: &Visitor,
    (path, name, staff): (&str, &str, &Staff),
    (when, versions, people): (&When, &[Kept<AupVersion>], &[Operator]),
    sent: Option<(&Form, &Refused)>,
) -> Markup {
    let of = |name| Filled::new(name, sent);
    let today = when.today();
    let (course, acknowledge, correct, leave) =
        (of("course"), of("acknowledge"), of("correct"), of("leave"));
    let of_staff: Vec<(String, String)> = versions
        .iter()
        .filter(|version| version.now.audience == Audience::Staff)
        .map(|version| (version.id.to_string(), version.now.version.clone()))
        .collect();
    html! {
        @if of_staff.is_empty() {
            p.soft { "There is no acceptable use policy for staff yet. " a href="/aup" { "Publish a version" } "." }
        } @else {
            (act(visitor, (path, &acknowledge), ("acknowledge", "They acknowledged the policy", "Write it down"), &html! {
                (acknowledge.choice("version", "Version", "", &of_staff, ""))
                (acknowledge.day("on", "On", "", (Need::Must, Some(today))))
                (acknowledge.choice("method", "How", "", &options(&METHODS, method), ""))
            }))
        }
        (pin::forms(visitor, (path, name, staff.has_pin), sent))
        (act(visitor, (path, &course), ("course", "They took a course", "Write it down"), &html! {
            (course.line("course", "Course", "Named as before, it takes the place of the earlier one.", Need::Must))
            (course.day("on", "On", "", (Need::Must, Some(today))))
            (course.day("until", "Good until", "Leave empty where it does not run out.", (Need::May, None)))
        }))
        (act(visitor, (path, &correct), ("correct", "Correct name, job or first day", "Write the correction"),
            &fields(&correct, people, (when, Some(&staff.post)), name)))
        @if has_one_of(&visitor.operator, &SUSPENDERS) { (suspending(visitor, path, staff, sent)) }
        @if staff.last_day.is_none() {
            (act(visitor, (path, &leave), ("leave", "They leave", "Write it down"), &html! {
                p { "From the day after on they get no tablet, and new passcodes are to be set on every tablet that was here while they were." }
                (leave.day("last_day", "Last day", "", (Need::Must, Some(today))))
            }))
        } @else {
            (act(visitor, (path, &of("stay")), ("stay", "They stay after all", "They stay"), &html! {}))
        }
    }
}

fn suspending(
    visitor: &Visitor,
    path: &str,
    staff: &Staff,
    sent: Option<(&Form, &Refused)>,
) -> Markup {
    let (name, summary, button) = if staff.suspended_at.is_some() {
        (
            "reinstate",
            "They are back from suspension",
            "Reinstate them",
        )
    } else {
        ("suspend", "Suspend them", "Suspend them")
    };
    let filled = Filled::new(name, sent);
    let fields = filled.text(
        "why",
        "Why",
        if staff.suspended_at.is_some() { "Only managers and the DSL see this. It is kept sealed." } else { "Only managers and the DSL see this. It is kept sealed. Suspended they get no tablet, and are signed out here if they sign in; that they still can is a task for a manager." },
        Need::Must,
    );
    act(visitor, (path, &filled), (name, summary, button), &fields)
}

fn says(line: &Act, versions: &[Kept<AupVersion>]) -> Markup {
    let called = |id: EntryId| {
        let version = versions.iter().find(|version| version.id == id);
        version.map_or("a version that was taken back", |v| v.now.version.as_str())
    };
    html! {
        @match line {
            Act::Add { post } => { "On the register: " (job(post.job).to_lowercase()) ", from " (shown_day(post.start)) "." }
            Act::Correct { post } => { "Corrected: " (job(post.job).to_lowercase()) ", from " (shown_day(post.start)) "." }
            Act::Suspend => "Suspended.",
            Act::Reinstate => "Reinstated.",
            Act::Leave { last_day } => { "Leaves; last day " (shown_day(*last_day)) "." }
            Act::Stay => "Stays.",
            Act::SetPin => "A PIN for tablets was set.",
            Act::RemovePin => "The PIN for tablets was removed.",
            Act::Course { course, on, until } => { "Course: " (course) ", " (shown_day(*on)) @if let Some(until) = until { ", good until " (shown_day(*until)) } "." }
            Act::Acknowledge { version, on, method: how } => { "Acknowledged " (called(*version)) " " (shown_day(*on)) ": " (method(*how).to_lowercase()) "." }
        }
    }
}

pub(in crate::http) async fn write(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Extension(form): Extension<Form>,
) -> Result<Response, ApiError> {
    let kept = found(&app, &visitor, &id).await?;
    let done = written(&app, &visitor, &kept, &form).await;
    let again = async |refused| shown(&app, &visitor, &kept, Some((&form, &refused))).await;
    answered(done.map(|()| path_of(kept.id)), again).await
}

async fn written(
    app: &App,
    visitor: &Visitor,
    kept: &Kept<Staff>,
    form: &Form,
) -> Result<(), RegisterError> {
    let words = Words::default();
    let text = |field: &'static str| form.text(field);
    let (line, words) = match form.text("act") {
        _ if is_erasing(form) => return erase_line(app, visitor, kept, form).await,
        "correct" | "leave" | "stay" if is_about(visitor, kept) => {
            let says = "Somebody else writes this of you.";
            return Err(Refused::whole(says).into());
        }
        "correct" => {
            let people = app.storage.operator_list().await?;
            let post = post_of(form, &people)?;
            let is_another = post.operator != kept.now.post.operator;
            if is_another && kept.now.suspended_at.is_some() && !sees_why(visitor, kept) {
                let says = "They are suspended. A manager or the DSL says as whom they sign in.";
                return Err(Refused::at("operator", says).into());
            }
            (Act::Correct { post }, words.line("name", text("name"))?)
        }
        "suspend" | "reinstate" => {
            if !sees_why(visitor, kept) {
                let says = "Somebody is suspended and reinstated by a manager or the DSL, and by nobody for themselves.";
                return Err(Refused::whole(says).into());
            }
            let is_suspending = form.text("act") == "suspend";
            let line = if is_suspending {
                Act::Suspend
            } else {
                Act::Reinstate
            };
            (line, words.text("why", text("why"))?)
        }
        "leave" => {
            let last_day = day(form, "last_day")?;
            (Act::Leave { last_day }, words)
        }
        "stay" => (Act::Stay, words),
        "set_pin" => return pin::set(app, kept.id, form, hand(app, visitor)).await,
        "remove_pin" => (Act::RemovePin, words),
        "course" => {
            let line = Act::Course {
                course: course_name(text("course"))?,
                on: day(form, "on")?,
                until: day_if_any(form, "until")?,
            };
            (line, words)
        }
        "acknowledge" => {
            let line = Act::Acknowledge {
                version: aup::version_of(&app.storage, text("version")).await?,
                on: day(form, "on")?,
                method: chosen(form, "method")?,
            };
            (line, words)
        }
        _ => return Err(Refused::whole("Choose what to write.").into()),
    };
    staff::write(&registers(app), kept.id, &line, &words, hand(app, visitor)).await
}

/// What somebody may not read they do not erase either.
async fn erase_line(
    app: &App,
    visitor: &Visitor,
    kept: &Kept<Staff>,
    form: &Form,
) -> Result<(), RegisterError> {
    let line = kept
        .lines
        .iter()
        .find(|line| line.seq.to_string() == form.text("line"));
    let is_hidden = line.is_some_and(|line| matches!(line.act, Act::Suspend | Act::Reinstate));
    if is_hidden && !sees_why(visitor, kept) {
        return Err(Refused::whole("This is for managers and the DSL.").into());
    }
    erase(app, visitor, kept, form).await
}

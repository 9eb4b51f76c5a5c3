//! What the photos task answers those who ask it.

use super::engine::{Engine, Moment, Scope};
use super::error::PhotosError;
use super::handle::Request;
use super::listing::Tags;
use super::task::{AfterScan, PhotosTask};
use nestwarden_policy_schema::envelope::VerifiedBundle;
use nestwarden_policy_schema::id::{ChildId, PhotoId};
use std::collections::BTreeSet;
use std::sync::Arc;

impl PhotosTask {
    pub(super) async fn answer_after_scan(&mut self) -> Result<(), PhotosError> {
        for waiting in std::mem::take(&mut self.scanning) {
            match waiting {
                AfterScan::Rescan(reply) => {
                    let _ = reply.send(Ok(()));
                }
                AfterScan::SessionEnd(reply) => {
                    let at = self.context.clock.now().at;
                    let ended = self.blocking(move |engine| engine.session_end(at)).await;
                    if ended.is_ok() {
                        self.open.send_replace(None);
                    }
                    let _ = reply.send(ended);
                }
            }
        }
        Ok(())
    }

    pub(super) async fn answer(&mut self, request: Request) {
        let bundle = self.context.ledger.bundle();
        match request {
            Request::SessionStart(rooms, reply) => {
                let started = match &bundle {
                    Some(bundle) => {
                        let start = move |engine: &mut Engine, moment: &Moment<'_>| {
                            engine.session_start(moment, rooms)
                        };
                        self.with_engine(bundle, start).await
                    }
                    None => Err(PhotosError::NoBundle),
                };
                if let Ok(session) = &started {
                    self.open.send_replace(Some(session.id));
                }
                let _ = reply.send(started);
            }
            Request::SessionEnd(reply) => self.after_scan(AfterScan::SessionEnd(reply)),
            Request::Rescan(reply) => self.after_scan(AfterScan::Rescan(reply)),
            Request::Look(look) => match &bundle {
                Some(bundle) => {
                    let looked = self.with_engine(bundle, move |engine, moment| {
                        look(Ok((engine, moment)));
                        Ok(())
                    });
                    let _ = looked.await;
                }
                None => look(Err(PhotosError::NoBundle)),
            },
            Request::Present(children, reply) => {
                let _ = reply.send(match bundle {
                    Some(bundle) => self.present(&bundle, children).await,
                    None => Err(PhotosError::NoBundle),
                });
            }
            Request::Tag(photo, tags, reply) => {
                let _ = reply.send(match bundle {
                    Some(bundle) => self.tag(&bundle, photo, tags).await,
                    None => Err(PhotosError::NoBundle),
                });
            }
        }
    }

    fn after_scan(&mut self, waiting: AfterScan) {
        self.scan_everything = true;
        if self.context.ledger.bundle().is_some() {
            self.asked.push(waiting);
        } else {
            self.scanning.push(waiting);
        }
    }

    async fn tag(
        &mut self,
        bundle: &Arc<VerifiedBundle>,
        photo: PhotoId,
        tags: Tags,
    ) -> Result<(), PhotosError> {
        let tag = move |engine: &mut Engine, moment: &Moment<'_>| engine.tag(moment, photo, &tags);
        let tagged = self.with_engine(bundle, tag).await?;
        self.pass(bundle, Scope::Only(tagged)).await
    }

    async fn present(
        &mut self,
        bundle: &Arc<VerifiedBundle>,
        children: BTreeSet<ChildId>,
    ) -> Result<(), PhotosError> {
        let present =
            move |engine: &mut Engine, moment: &Moment<'_>| engine.present(moment, &children);
        let touched = self.with_engine(bundle, present).await?;
        self.pass(bundle, Scope::Only(touched)).await
    }
}

//! A bus with nobody on it but the services a test puts there.

use super::Bus;
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;
use tokio::sync::oneshot;
use zbus::connection::Builder;

struct Nothing;

#[zbus::interface(name = "org.example.Nothing")]
impl Nothing {}

/// Services on a thread of their own, until dropped.
pub(crate) struct FakeServices {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for FakeServices {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the services ended well");
        }
    }
}

/// `serve` puts the services' objects on the connection. Every service's name leads to the same objects.
pub(crate) fn fake_bus(
    serve: impl FnOnce(Builder<'static>) -> Builder<'static> + Send + 'static,
) -> (Bus, FakeServices) {
    let (ours, theirs) = UnixStream::pair().expect("a socket pair");
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let builder = Builder::unix_stream(theirs)
                .server(zbus::Guid::generate())
                .p2p()
                // A connection that serves nothing answers nothing, not even that it has no such object.
                .serve_at("/org/example/Nothing", Nothing);
            let _connection = serve(builder).build().await.expect("a server");
            let _ = stopped.await;
        });
    });
    let bus = Bus::connect(Builder::unix_stream(ours).p2p()).expect("a client");
    let services = FakeServices {
        stop: Some(stop),
        thread: Some(thread),
    };
    (bus, services)
}

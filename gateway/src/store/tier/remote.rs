//! The object store, for threads: each request runs on a runtime of its own, and whoever asks waits for it no longer than it is
//! worth.

use std::{
    fmt, io,
    ops::Range,
    sync::{Mutex, PoisonError, mpsc},
    time::{Duration, Instant},
};

use bytes::Bytes;
use object_store::{
    ClientOptions, Error, MultipartId, ObjectStoreExt, PutPayload, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    multipart::{MultipartStore, PartId},
    path::Path,
};
use tokio::runtime::{Builder, Runtime};

use super::settings::Settings;
use crate::store::worker::Stop;

/// A read that takes longer is as good as none.
const READ: Duration = Duration::from_secs(10);
/// One part of an upload over a slow uplink.
const SEND: Duration = Duration::from_secs(300);
const CONNECT: Duration = Duration::from_secs(3);
/// After a request that did not get through, reads say so at once for so long.
const AWAY: Duration = Duration::from_secs(5);
/// How often a thread that waits looks whether it is to stop.
const STEP: Duration = Duration::from_millis(100);

/// One bucket.
pub(in crate::store) struct Remote {
    /// Taken when it is dropped, maybe by a task, in which a runtime cannot end by itself.
    runtime: Option<Runtime>,
    bucket: std::sync::Arc<AmazonS3>,
    place: String,
    /// Since when, and why.
    away: Mutex<Option<(Instant, String)>>,
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Remote {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// Where the settings cannot be meant, and where the system gives no thread.
    pub(in crate::store) fn new(settings: &Settings) -> io::Result<Self> {
        let Settings {
            endpoint,
            bucket,
            region,
            ..
        } = settings;
        let options = ClientOptions::new()
            .with_allow_http(true)
            .with_connect_timeout(CONNECT)
            .with_timeout(SEND);
        let retry = RetryConfig {
            max_retries: 2,
            retry_timeout: CONNECT * 2,
            ..RetryConfig::default()
        };
        let mut builder = AmazonS3Builder::new()
            .with_endpoint(endpoint.trim_end_matches('/'))
            .with_bucket_name(bucket)
            .with_region(region)
            .with_virtual_hosted_style_request(!settings.path_style)
            .with_client_options(options)
            .with_retry(retry);
        let (Some(key_id), Some(secret)) = (settings.key_id(), settings.secret()) else {
            let message = "store.s3.key_id and store.s3.secret are missing";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        };
        builder = builder
            .with_access_key_id(key_id)
            .with_secret_access_key(secret);
        let bucket = std::sync::Arc::new(builder.build().map_err(io::Error::other)?);
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("store-s3")
            .enable_all()
            .build()?;
        Ok(Self {
            runtime: Some(runtime),
            bucket,
            place: format!("{}/{}", endpoint.trim_end_matches('/'), settings.bucket),
            away: Mutex::default(),
        })
    }

    /// Whether the last request got through.
    pub(in crate::store) fn is_up(&self) -> bool {
        self.away
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_none()
    }

    /// A range of an object, whole.
    pub(in crate::store) fn read(&self, object: &str, range: Range<u64>) -> io::Result<Bytes> {
        let away = self
            .away
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some((_, why)) = away.filter(|(since, _)| since.elapsed() < AWAY) {
            return Err(io::Error::new(io::ErrorKind::HostUnreachable, why));
        }
        let (bucket, path, wanted) = (self.bucket.clone(), Path::from(object), range.clone());
        let bytes = self.wait(
            READ,
            None,
            async move { bucket.get_range(&path, wanted).await },
        )?;
        match bytes.len() as u64 == range.end - range.start {
            true => Ok(bytes),
            false => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{self}/{object} is shorter than what was sent"),
            )),
        }
    }

    /// Bytes of an object; `None` where there is none.
    pub(super) fn size(&self, object: &str) -> io::Result<Option<u64>> {
        let (bucket, path) = (self.bucket.clone(), Path::from(object));
        match self.wait(READ, None, async move { bucket.head(&path).await }) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            meta => Ok(Some(meta?.size)),
        }
    }

    /// Begins an upload.
    pub(super) fn begin(&self, object: &str) -> io::Result<MultipartId> {
        let (bucket, path) = (self.bucket.clone(), Path::from(object));
        self.wait(
            READ,
            None,
            async move { bucket.create_multipart(&path).await },
        )
    }

    /// Sends one part; ends early when it is to stop.
    pub(super) fn part(
        &self,
        object: &str,
        id: &MultipartId,
        number: usize,
        bytes: Vec<u8>,
        stop: &Stop,
    ) -> io::Result<String> {
        let (bucket, path, id) = (self.bucket.clone(), Path::from(object), id.clone());
        let sent = async move {
            bucket
                .put_part(&path, &id, number, PutPayload::from(bytes))
                .await
        };
        Ok(self.wait(SEND, Some(stop), sent)?.content_id)
    }

    /// Makes an object of all parts.
    pub(super) fn complete(
        &self,
        object: &str,
        id: &MultipartId,
        parts: &[String],
    ) -> io::Result<()> {
        let (bucket, path, id) = (self.bucket.clone(), Path::from(object), id.clone());
        let parts = parts
            .iter()
            .map(|content_id| PartId {
                content_id: content_id.clone(),
            })
            .collect();
        let done = async move { bucket.complete_multipart(&path, &id, parts).await };
        self.wait(SEND, None, done).map(drop)
    }

    /// Removes an object, or what was sent of it. That there is none is well.
    pub(super) fn remove(&self, object: &str, id: Option<&MultipartId>) -> io::Result<()> {
        let (bucket, path, id) = (self.bucket.clone(), Path::from(object), id.cloned());
        let removed = self.wait(READ, None, async move {
            match id {
                Some(id) => bucket.abort_multipart(&path, &id).await,
                None => bucket.delete(&path).await,
            }
        });
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Has it run elsewhere, and waits for it here.
    fn wait<T: Send + 'static>(
        &self,
        most: Duration,
        stop: Option<&Stop>,
        work: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> io::Result<T> {
        let (answer, answered) = mpsc::sync_channel(1);
        let runtime = self.runtime.as_ref().expect("it is taken by drop alone");
        let task = runtime.spawn(async move {
            let _ = answer.send(work.await); // nobody waits any more
        });
        let begun = Instant::now();
        let done = loop {
            match answered.recv_timeout(STEP.min(most)) {
                Ok(done) => break done.map_err(|error| self.error(&error)),
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    break Err(io::Error::other("a request of the object store broke off"));
                }
                Err(mpsc::RecvTimeoutError::Timeout) if stop.is_some_and(Stop::is_set) => {
                    task.abort();
                    return Err(io::ErrorKind::Interrupted.into());
                }
                Err(mpsc::RecvTimeoutError::Timeout) if begun.elapsed() < most => {}
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    task.abort();
                    let message = format!(
                        "object store {self} does not answer within {} s",
                        most.as_secs()
                    );
                    break Err(io::Error::new(io::ErrorKind::HostUnreachable, message));
                }
            }
        };
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        *away = match &done {
            Err(error) if error.kind() == io::ErrorKind::HostUnreachable => {
                Some((Instant::now(), error.to_string()))
            }
            _ => None,
        };
        done
    }

    fn error(&self, error: &Error) -> io::Error {
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let (kind, remedy) = match error {
            Error::NotFound { .. } => (io::ErrorKind::NotFound, ""),
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => (
                io::ErrorKind::HostUnreachable,
                "; check store.s3.key_id, secret and region",
            ),
            _ => (io::ErrorKind::HostUnreachable, ""),
        };
        let shown: String = cause
            .to_string()
            .chars()
            .filter(|c| !c.is_control())
            .take(300)
            .collect();
        io::Error::new(kind, format!("object store {self}: {shown}{remedy}"))
    }
}

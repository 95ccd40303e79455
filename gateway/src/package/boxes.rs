//! Writing ISO base media boxes (ISO/IEC 14496-12 §4.2): a box is opened, filled and closed, its size put in then.

/// Bytes of boxes in the making.
#[derive(Default)]
pub(super) struct Boxes(Vec<u8>);

impl Boxes {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Bytes written so far.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// A `Box` of `kind` around what `fill` writes.
    pub(super) fn boxed(&mut self, kind: &[u8; 4], fill: impl FnOnce(&mut Self)) {
        let start = self.len();
        self.u32(0).raw(kind);
        fill(self);
        let size = u32::try_from(self.len() - start).expect("a part has a limit far below 4 GiB");
        self.put_u32(start, size);
    }

    /// A `FullBox`: version (8 bits) and flags (24 bits) first.
    pub(super) fn full(
        &mut self,
        kind: &[u8; 4],
        version: u8,
        flags: u32,
        fill: impl FnOnce(&mut Self),
    ) {
        self.boxed(kind, |b| {
            b.u32(u32::from(version) << 24 | flags);
            fill(b);
        });
    }

    /// Replaces four bytes written earlier at `position`.
    pub(super) fn put_u32(&mut self, position: usize, value: u32) {
        self.0[position..position + 4].copy_from_slice(&value.to_be_bytes());
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn zeros(&mut self, count: usize) -> &mut Self {
        self.0.resize(self.0.len() + count, 0);
        self
    }

    pub(super) fn u8(&mut self, value: u8) -> &mut Self {
        self.raw(&[value])
    }

    pub(super) fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    pub(super) fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    pub(super) fn i32(&mut self, value: i32) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    pub(super) fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }
}

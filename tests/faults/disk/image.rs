//! The bytes of one fault disk: sparse pages, shared until written.
//!
//! A copy costs one pointer per page, so a disk image can be kept for every checkpoint. Knows nothing of time, caches
//! or faults.

use std::sync::Arc;

/// Bytes of one page. Also the unit a current disk writes whole.
pub(crate) const PAGE_SIZE: usize = 4096;

type Page = [u8; PAGE_SIZE];

/// A sparse array of bytes of fixed size. Pages of zeros take no memory.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pages: Vec<Option<Arc<Page>>>,
}

/// The part of a range that lies in one page.
struct Piece {
    page: usize,
    within: std::ops::Range<usize>,
    of_range: std::ops::Range<usize>,
}

impl Image {
    /// An image of zeros. The size is rounded up to whole pages.
    pub(crate) fn zeroed(size_bytes: usize) -> Self {
        Self { pages: vec![None; size_bytes.div_ceil(PAGE_SIZE)] }
    }

    /// Size in bytes.
    pub(crate) fn size_bytes(&self) -> usize {
        self.pages.len() * PAGE_SIZE
    }

    /// `len` bytes from `offset`, fewer where the image ends.
    pub(crate) fn read(&self, offset: usize, len: usize) -> Vec<u8> {
        let len = len.min(self.size_bytes().saturating_sub(offset));
        let mut bytes = vec![0; len];
        for piece in pieces(offset, len) {
            if let Some(page) = &self.pages[piece.page] {
                bytes[piece.of_range].copy_from_slice(&page[piece.within]);
            }
        }
        bytes
    }

    /// Puts `bytes` at `offset`. What would lie behind the end is left out, as a device would refuse it.
    pub(crate) fn write(&mut self, offset: usize, bytes: &[u8]) {
        let len = bytes.len().min(self.size_bytes().saturating_sub(offset));
        for piece in pieces(offset, len) {
            let from = &bytes[piece.of_range];
            let slot = &mut self.pages[piece.page];
            let all_zero = from.iter().all(|&byte| byte == 0);
            if all_zero && (slot.is_none() || from.len() == PAGE_SIZE) {
                *slot = None;
                continue;
            }
            let page = slot.get_or_insert_with(|| Arc::new([0; PAGE_SIZE]));
            Arc::make_mut(page)[piece.within].copy_from_slice(from);
        }
    }

    /// Every offset at which `needle` lies whole within one page, in rising order.
    pub(crate) fn find(&self, needle: &[u8]) -> Vec<usize> {
        let held =
            self.pages.iter().enumerate().filter_map(|(number, page)| Some((number, page.as_deref()?)));
        held.flat_map(|(number, page)| {
            let first = needle.first().copied();
            (0..=PAGE_SIZE.saturating_sub(needle.len()))
                .filter(move |&at| Some(page[at]) == first && page[at..].starts_with(needle))
                .map(move |at| number * PAGE_SIZE + at)
        })
        .collect()
    }

    /// The non-zero pages with their offsets: enough to write the image to a sparse file.
    pub(crate) fn held_pages(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.pages
            .iter()
            .enumerate()
            .filter_map(|(number, page)| Some((number * PAGE_SIZE, page.as_deref()?.as_slice())))
    }
}

/// Cuts `offset .. offset + len` at the page borders.
fn pieces(offset: usize, len: usize) -> impl Iterator<Item = Piece> {
    let mut done = 0;
    std::iter::from_fn(move || {
        (done < len).then(|| {
            let at = offset + done;
            let start = at % PAGE_SIZE;
            let take = (PAGE_SIZE - start).min(len - done);
            let piece =
                Piece { page: at / PAGE_SIZE, within: start..start + take, of_range: done..done + take };
            done += take;
            piece
        })
    })
}

//! What one request carries through the filter chain.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use smallvec::SmallVec;

use crate::DynamicMetadata;
use crate::StreamInfo;

/// What a filter may ask about the clusters of the pinned configuration.
pub trait Upstreams {
    /// Whether a cluster of that name exists; the name's shared form if so.
    fn find(&self, cluster: &str) -> Option<Arc<str>>;
}

/// One request's context: its facts, its metadata, the routing decision, and each filter's own state.
pub struct StreamCx {
    /// The facts of the request.
    pub info: StreamInfo,
    /// Dynamic metadata, `%DYNAMIC_METADATA(...)%`.
    pub metadata: DynamicMetadata,
    /// Text values by key for logs and later filters, `%FILTER_STATE(...)%`.
    pub filter_state: BTreeMap<&'static str, Arc<str>>,
    /// Attributes that filters add to the request's span.
    pub span_attributes: Vec<(&'static str, Arc<str>)>,
    /// The cluster the request goes to: the route's until a filter chooses another.
    pub cluster: Option<Arc<str>>,
    /// Labels an endpoint must carry under `envoy.lb`, beyond what the route asks for.
    pub subset: Vec<(Arc<str>, Arc<str>)>,
    upstreams: Rc<dyn Upstreams>,
    slots: SmallVec<[(u16, Box<dyn Any>); 2]>,
    position: u16,
}

impl StreamCx {
    /// A context for a stream that has just begun.
    pub fn new(info: StreamInfo, upstreams: Rc<dyn Upstreams>) -> Self {
        Self {
            info,
            metadata: DynamicMetadata::default(),
            filter_state: BTreeMap::new(),
            span_attributes: Vec::new(),
            cluster: None,
            subset: Vec::new(),
            upstreams,
            slots: SmallVec::new(),
            position: 0,
        }
    }

    /// The moment the request began; filters that need the present ask [`Self::now`].
    pub fn start(&self) -> Instant {
        self.info.timing.start
    }

    /// The present.
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// The clusters of the configuration this request is served with.
    pub fn upstreams(&self) -> &dyn Upstreams {
        &*self.upstreams
    }

    /// Keeps `state` for the filter that is running; one value per filter, a second replaces the first.
    /// It is dropped when the exchange is over, so a guard released in `Drop` may live here.
    pub fn put<T: 'static>(&mut self, state: T) {
        let position = self.position;
        self.slots.retain(|(slot, _)| *slot != position);
        self.slots.push((position, Box::new(state)));
    }

    /// What the running filter kept by [`Self::put`].
    pub fn get<T: 'static>(&self) -> Option<&T> {
        let position = self.position;
        self.slots.iter().find(|(slot, _)| *slot == position)?.1.downcast_ref()
    }

    /// As [`Self::get`], to change it.
    pub fn get_mut<T: 'static>(&mut self) -> Option<&mut T> {
        let position = self.position;
        self.slots.iter_mut().find(|(slot, _)| *slot == position)?.1.downcast_mut()
    }

    /// Says which filter is running; the chain calls it before each hook.
    pub(crate) fn enter(&mut self, position: u16) {
        self.position = position;
    }

    /// Drops every filter's state: what a filter counted is released now.
    pub fn release(&mut self) {
        self.slots.clear();
    }
}

impl fmt::Debug for StreamCx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamCx")
            .field("info", &self.info)
            .field("metadata", &self.metadata)
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}

//! What a pickle is made of.

/// The number of a node in its arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(pub u32);

#[derive(Debug)]
pub enum Node {
    None,
    Bool(bool),
    Int(i64),
    /// An integer beyond 64 bits, of this many bytes: the state of a random generator, mostly.
    LongInt(usize),
    Float(f64),
    Text(Box<str>),
    Bytes(Box<[u8]>),
    /// `str` of Python 2, which was either.
    ByteText(Box<[u8]>),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Set(Vec<Id>),
    /// In the order in which they came, keys that repeat among them.
    Dict(Vec<(Id, Id)>),
    /// The name of a class or function. The two are texts that many names may share.
    Global {
        module: Id,
        name: Id,
    },
    Object(Box<Object>),
    /// Something outside of the pickle, by what its writer calls it.
    Persistent(Id),
    /// A number of the registry in `copyreg`.
    Extension(u32),
    /// A buffer that was sent beside the pickle.
    OutOfBand,
}

/// What a call would have made, and what would have been done to it.
#[derive(Debug)]
pub struct Object {
    pub made: Made,
    pub callable: Id,
    /// A tuple.
    pub arguments: Id,
    /// A dict.
    pub keywords: Option<Id>,
    pub state: Option<Id>,
    pub items: Vec<Id>,
    pub entries: Vec<(Id, Id)>,
}

/// How the pickle has an object made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// By calling any function.
    Called,
    /// As an instance of a class.
    Instance,
}

impl Object {
    pub fn new(made: Made, callable: Id, arguments: Id) -> Self {
        let (items, entries) = (Vec::new(), Vec::new());
        Self { made, callable, arguments, keywords: None, state: None, items, entries }
    }
}

//! Counts what is limited for all together and for each IP address.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;

/// So many places, of which one address gets so many.
#[derive(Clone, Debug)]
pub(crate) struct Places(Rc<RefCell<Taken>>);

#[derive(Debug)]
struct Taken {
    max: usize,
    per_ip_max: usize,
    all: usize,
    by_ip: BTreeMap<IpAddr, usize>,
}

/// A place; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    ip: Option<IpAddr>,
}

impl Places {
    pub(crate) fn new(max: usize, per_ip_max: usize) -> Self {
        Self(Rc::new(RefCell::new(Taken { max, per_ip_max, all: 0, by_ip: BTreeMap::new() })))
    }

    /// A place for this address, counted against it unless nothing is said. None when there is none left.
    pub(crate) fn take(&self, ip: Option<IpAddr>) -> Option<Place> {
        let mut taken = self.0.borrow_mut();
        let of_ip = ip.and_then(|ip| taken.by_ip.get(&ip).copied()).unwrap_or(0);
        if taken.all >= taken.max || of_ip >= taken.per_ip_max {
            return None;
        }
        taken.all += 1;
        if let Some(ip) = ip {
            taken.by_ip.insert(ip, of_ip + 1);
        }
        Some(Place { places: self.clone(), ip })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.borrow_mut();
        taken.all -= 1;
        let Some(ip) = self.ip else { return };
        if let Some(count) = taken.by_ip.get_mut(&ip) {
            *count -= 1;
            if *count == 0 {
                taken.by_ip.remove(&ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_share_and_all_have_theirs() {
        let places = Places::new(3, 2);
        let [one, other] = [1, 2].map(|last| Some(IpAddr::from([10, 0, 0, last])));
        let first = places.take(one);
        let second = places.take(one);
        assert!(first.is_some() && second.is_some() && places.take(one).is_none());
        let third = places.take(other);
        assert!(third.is_some() && places.take(other).is_none() && places.take(None).is_none());
        drop(first);
        assert!(places.take(None).is_some());
        drop((second, third));
        assert_eq!((places.0.borrow().all, places.0.borrow().by_ip.len()), (0, 0));
    }
}

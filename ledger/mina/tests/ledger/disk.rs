//! Disks that are full, and that fail.

use crate::made::{id, payment};
use crate::world::{World, open};
use polypeer_engine::Ledger as _;
use polypeer_mina::ledger::{Refusal, Verdict};
use polypeer_sim::Tape;
use std::io::ErrorKind;
use std::time::Duration;

#[test]
fn a_full_disk_takes_nothing_and_goes_on_when_there_is_room() {
    let mut came_through = 0;
    let line = World::new().first().line(30, 1);
    for left in 0..40 {
        let disk = Tape::default();
        let mut world = World::over(open(&disk).unwrap());
        world.take_all(&line[..4]);
        disk.fail_after(left, ErrorKind::StorageFull);
        let held = (4..line.len()).find(|place| world.judge(&line[*place]).0 == Verdict::Ignore).unwrap();
        assert!(!world.reader.is_sound());
        assert_eq!(world.tip().hash, line[held - 1].hash, "after {left}");
        assert_eq!(world.submit(&payment(1, 0, 10)), Err(Refusal::Store));
        assert_eq!(world.gossip(&[payment(2, 0, 10)]), Verdict::Unverified, "what needs no disk goes on");
        disk.heal();
        world.pass(Duration::from_millis(500));
        assert_eq!(world.run(Duration::from_millis(1)), []);
        assert!(world.reader.is_sound(), "after {left}");
        // The last step of the commit may have failed after its work was done.
        let tip = world.tip().hash;
        assert!(tip == line[held - 1].hash || tip == line[held].hash, "after {left}");
        came_through += u32::from(tip == line[held].hash);
        let on_disk = World::over(open(&disk.copy()).unwrap()).tip();
        assert_eq!(on_disk.hash, tip, "after {left}");
        world.judge(&line[held]);
        world.submit(&payment(1, 0, 10)).unwrap();
        world.take_all(&line[held + 1..]);
        drop(world);
        let mut world = World::over(open(&disk).unwrap());
        assert_eq!(world.tip().hash, line[29].hash);
        assert_eq!(world.reader.waiting(9).1, [id(&payment(1, 0, 10))]);
    }
    println!("{came_through} commits came through");
}

#[test]
fn a_disk_that_breaks_its_word_is_written_no_more() {
    let line = World::new().first().line(30, 1);
    for left in 0..20 {
        let disk = Tape::default();
        let mut world = World::over(open(&disk).unwrap());
        world.take_all(&line[..4]);
        disk.fail_after(left, ErrorKind::Other);
        let held = (4..line.len()).find(|place| world.judge(&line[*place]).0 == Verdict::Ignore).unwrap();
        disk.heal();
        world.pass(Duration::from_secs(60));
        let changes = disk.changes();
        assert_eq!((world.ledger.next_wake(world.now), world.run(Duration::from_secs(1))), (None, vec![]));
        assert_eq!(world.judge(&line[held]), (Verdict::Ignore, None));
        assert_eq!(world.tip().hash, line[held - 1].hash);
        assert!(!world.reader.is_sound());
        drop(world);
        assert_eq!(disk.changes(), changes, "nothing is written, not even at the end");
        World::over(open(&disk).unwrap()).check_holds(&line[..held]);
    }
}

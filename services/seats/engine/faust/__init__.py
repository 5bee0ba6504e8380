"""Everything that knows Faust. Its classes are extended through its own extension points, and nothing of Faust is assigned to.

Overridden methods, each for one reason (docs/decisions/faust.md says more):

1. `SeatsThread._fetch_records` gives the client a frozen copy of the set of active partitions; the live set changes while recovery ends.
2. `SeatsRecovery.on_recovery_completed` waits for the poll under way (`SeatsConsumer._getmany`), seeks, clears the streams' queues and
   resumes, in that order. Faust resumes first, and with a backlog the records delivered meanwhile are dropped (faust-streaming issue 596; 4
   of 9 restarts lost commands).
3. `SeatsConsumer.perform_seek` starts source partitions where the *state* says (W + 1). Committed offsets are a metric: losing them loses
   nothing.
4. `SeatsAssignor` never makes an assignment from incomplete metadata. Faust logs "Ignoring missing topic" and leaves every member idle for
   minutes; seen after a restart of the broker.
5. A source partition whose position is outside the topic ends the worker (`SeatsThread`, with `consumer_auto_offset_reset` "none"). Faust's
   client would go back to the topic's beginning, or leave out what was cut away, without a word.
6. `SeatsThread` reads no records of open and aborted transactions (Faust asks for all), and tells the engine which offsets the client
   passed over without a record: only those may be missing between two commands.
7. `SeatsApp._crash` ends the process by `fail_stop`; Faust would commit on the way out.
8. `SeatsTable` makes the own store, which forgets a partition as soon as another worker owns it.
9. `SeatsRecovery._build_offsets` leaves the changelog to the bulk restore. Faust's own recovery loses rows when rebalances follow closely.
10. `FastLaneConsumer` takes whole record lists past Faust's streams. The agent's lane does without it.

Private methods are among them, hence the exact version. A test names the upstream methods whose source has changed.
"""

import faust

FAUST_VERSION = "0.15.3"
assert faust.__version__ == FAUST_VERSION, f"private methods of Faust {FAUST_VERSION} are overridden here; this is {faust.__version__}"

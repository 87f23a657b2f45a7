// The raw twins: as little code as can do each job by hand, with liburing, futexes and eventfds, and without weir.
#pragma once

#include "weir/tools/bench/echo_server.h"
#include "weir/tools/bench/side.h"

namespace weir::bench::raw {

// NOPs through a ring, `in_flight` at a time.
MakeSide nops(unsigned in_flight);

// Two coroutines that take turns through a list of handles.
MakeSide yields();

// A coroutine that awaits a trivial one, its frame recycled.
MakeSide tasks();

// A thread that posts functions, each in a node of its own, to one that looks for them all the time.
MakeSide posts_to_awake();

// A thread that wakes another one out of its ring; the time until that runs.
MakeSide wake_ups();

// Jobs to a worker thread and back to a ring, `in_flight` at a time.
MakeSide calls(unsigned in_flight);

// A std::thread for each job, its result back to a ring.
MakeSide separate_threads();

// Threads that each ask the ring's thread for something, and sleep until they have it.
MakeSide questions(unsigned threads);

// Items from a thread to a ring, through a ring of `capacity` slots.
MakeSide stream(size_t capacity);

// The same, the reader taking all that is there at once.
MakeSide stream_in_batches(size_t capacity);

// Random reads of 4 KiB, `depth` in flight, into registered buffers or not; `extra_flags` of open(2).
MakeSide reads(unsigned depth, bool registered, int extra_flags);

// TCP echo on a ring with provided buffers.
MakeEchoServer echo_server();

}  // namespace weir::bench::raw

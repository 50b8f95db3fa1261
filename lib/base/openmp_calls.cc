// What oneDNN's library calls of OpenMP, for its threads to be ours: the functions of GCC's libgomp that it was
// compiled for. The dynamic linker finds these, in the program, before those of libgomp. One pool of threads and one
// setting of their number serve both, and libgomp's threads, which watch for milliseconds, never start.
// https://gcc.gnu.org/onlinedocs/libgomp/The-libgomp-ABI.html
#include <algorithm>
#include <vector>

#include "lib/base/thread_team.h"

namespace narrow {
namespace {

/// A loop whose iterations are shared out before it begins.
struct StaticLoop {
  long start = 0;
  long step = 1;
  long count = 0;
  long chunk = 0;  // 0: one piece for each thread
  long round = 0;
};

thread_local StaticLoop loop;
/// The teams around the calling thread's innermost one; within a team others are of one thread.
thread_local std::vector<TeamPlace> outer;

bool next_piece(long* first, long* last) {
  const TeamPlace& place = team_place();
  long begin = 0;
  long end = 0;
  if (loop.chunk > 0) {
    begin = (loop.round * place.size + place.number) * loop.chunk;
    end = std::min(begin + loop.chunk, loop.count);
  } else if (loop.round == 0) {
    const long each = loop.count / place.size;
    const long more = loop.count % place.size;
    begin = each * place.number + std::min<long>(place.number, more);
    end = begin + each + (place.number < more ? 1 : 0);
  }
  ++loop.round;
  if (begin >= end) return false;
  *first = loop.start + begin * loop.step;
  *last = loop.start + end * loop.step;
  return true;
}

}  // namespace

// Here, and not beside the team, so that a program that has them has the functions below, too.
TeamPlace& team_place() {
  thread_local TeamPlace place;
  return place;
}

int& team_limit() {
  static const int first = processors_of_process();
  thread_local int limit = first;
  return limit;
}

}  // namespace narrow

// NOLINTBEGIN(readability-identifier-naming,bugprone-reserved-identifier): the names are libgomp's
extern "C" {

void GOMP_parallel_start(void (*function)(void*), void* data, unsigned threads) {
  narrow::TeamPlace& place = narrow::team_place();
  narrow::outer.push_back(place);
  const int size = threads > 0 ? static_cast<int>(threads) : narrow::team_limit();
  if (place.team != nullptr || size < 2) {
    place.number = 0;
    place.size = 1;
  } else {
    narrow::ThreadTeam::own().begin(size, function, data);
  }
}

void GOMP_parallel_end() {
  narrow::TeamPlace& place = narrow::team_place();
  if (place.size > 1) place.team->end();
  place = narrow::outer.back();
  narrow::outer.pop_back();
}

void GOMP_barrier() {
  const narrow::TeamPlace& place = narrow::team_place();
  if (place.size > 1) place.team->meet();
}

bool GOMP_loop_static_next(long* first, long* last) {
  return narrow::next_piece(first, last);
}

bool GOMP_loop_static_start(long start, long end, long step, long chunk, long* first, long* last) {
  const long count = (end - start + step + (step > 0 ? -1 : 1)) / step;
  narrow::loop = {.start = start, .step = step, .count = std::max(count, 0L), .chunk = chunk, .round = 0};
  return narrow::next_piece(first, last);
}

void GOMP_loop_end_nowait() {}

int omp_get_max_threads() {
  return narrow::team_limit();
}

int omp_get_num_threads() {
  return narrow::team_place().size;
}

int omp_get_thread_num() {
  return narrow::team_place().number;
}

int omp_in_parallel() {
  return narrow::team_place().team != nullptr ? 1 : 0;
}

}  // extern "C"
// NOLINTEND(readability-identifier-naming,bugprone-reserved-identifier)

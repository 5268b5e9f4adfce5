#pragma once
/// Run a loop on several threads.
#include <cstddef>
#include <functional>

namespace gloss {

/// Threads the machine offers to this process; at least 1.
std::size_t available_threads();

/// Calls body(item, worker) for every item in [0, count), worker in [0, threads). Items are taken in ascending order;
/// which worker gets which is not fixed, so bodies must write to places of their item, not of their worker.
/// Errors: the exception of the lowest failing item is rethrown here after all workers have stopped.
void parallel_for(std::size_t count, std::size_t threads,
                  const std::function<void(std::size_t item, std::size_t worker)>& body);

}  // namespace gloss

// A stretch of work that is undone at its end, whatever became of it: what it locked is released, what
// it wrote or created is gone, and only what it was seen to do remains.
#pragma once

#include "extension/pg/guard.hpp"

namespace purser::pg {

// Needs an SPI connection opened before. Results of statements run in it end with it.
class Rehearsal {
 public:
  Rehearsal();
  ~Rehearsal();
  Rehearsal(const Rehearsal&) = delete;
  Rehearsal& operator=(const Rehearsal&) = delete;

 private:
  MemoryContext context_;
  ResourceOwner owner_;
};

}  // namespace purser::pg

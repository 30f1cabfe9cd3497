// A subtransaction that is always rolled back. An exception must not leave it open: who catches the
// error further up rolls back one subtransaction, and takes it for its own.
#include "extension/pg/rehearsal.hpp"

extern "C" {
#include "utils/resowner.h"
}

namespace purser::pg {

Rehearsal::Rehearsal() : context_(CurrentMemoryContext), owner_(CurrentResourceOwner) {
  guarded([] { BeginInternalSubTransaction(nullptr); });
  MemoryContextSwitchTo(context_);
}

Rehearsal::~Rehearsal() {
  RollbackAndReleaseCurrentSubTransaction();
  MemoryContextSwitchTo(context_);
  CurrentResourceOwner = owner_;
}

}  // namespace purser::pg

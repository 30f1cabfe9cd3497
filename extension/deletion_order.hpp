// What a plan and a deletion share: the order of the steps and the refusals that rows give rise to.
#pragma once

#include <string>
#include <vector>

#include "core/error.hpp"
#include "extension/deletion_rows.hpp"

namespace purser {

// Tables with doomed rows, children first; tables of one element go in one statement.
std::vector<std::vector<int>> deletion_order(const DeletionSchema& schema,
                                             const DoomedRows& doomed);

// Keys of one treatment by which rows refer to rows of these tables.
std::vector<int> keys_to(const DeletionSchema& schema, const std::vector<int>& tables,
                         Treatment treatment);

// Why rows reached by a key are somebody else's, and the call that decides about them.
std::string collateral_text(const DeletionSchema& schema, int key);

// What the rows found forbid: rows of others nobody decided about, rows a rule protects, references
// that cannot be taken away.
std::vector<Error> row_blockers(const DeletionSchema& schema, const DoomedRows& doomed);

}  // namespace purser

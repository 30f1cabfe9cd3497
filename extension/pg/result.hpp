// Composite results: one row, or a set of rows.
#pragma once

#include "extension/pg/value.hpp"

namespace purser::pg {

// Builds the one composite row a function returns; the row type is looked up once per call site.
Datum composite(FunctionCallInfo fcinfo, std::initializer_list<Value> columns);

// Collects the rows of a set-returning function. Made before any SPI connection is opened.
class RowSet {
 public:
  explicit RowSet(FunctionCallInfo fcinfo);
  void add(std::initializer_list<Value> columns);

 private:
  ReturnSetInfo* result_;
};

}  // namespace purser::pg

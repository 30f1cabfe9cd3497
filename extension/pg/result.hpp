// Composite results: one row, or a set of rows.
#pragma once

#include <span>

#include "extension/pg/value.hpp"

namespace purser::pg {

// Builds the one composite row a function returns; the row type is looked up once per call site.
Datum composite(FunctionCallInfo fcinfo, std::span<const Value> columns);
inline Datum composite(FunctionCallInfo fcinfo, std::initializer_list<Value> columns) {
  return composite(fcinfo, std::span(columns));
}

// Collects the rows of a set-returning function. Made before any SPI connection is opened.
class RowSet {
 public:
  explicit RowSet(FunctionCallInfo fcinfo);
  void add(std::span<const Value> columns);
  void add(std::initializer_list<Value> columns) { add(std::span(columns)); }

 private:
  ReturnSetInfo* result_;
};

}  // namespace purser::pg

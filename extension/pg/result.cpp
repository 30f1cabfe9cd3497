// Composite results, made under a guard.
#include <array>
#include <stdexcept>

#include "extension/pg/result.hpp"

extern "C" {
#include "utils/tuplestore.h"
}

namespace purser::pg {

namespace {

constexpr std::size_t most_columns = 32;

struct Columns {
  explicit Columns(std::span<const Value> columns) {
    if (columns.size() > most_columns) throw std::logic_error("too many columns in a result");
    std::size_t i = 0;
    for (const Value& column : columns) {
      datums[i] = column.datum;
      nulls[i++] = column.null;
    }
  }
  std::array<Datum, most_columns> datums{};
  std::array<bool, most_columns> nulls{};
};

// Kept in the call site's own memory, which lives as long as the query does.
TupleDesc result_type(FunctionCallInfo fcinfo) {
  if (fcinfo->flinfo->fn_extra == nullptr) {
    MemoryContext caller = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
    TupleDesc type = nullptr;
    if (get_call_result_type(fcinfo, nullptr, &type) != TYPEFUNC_COMPOSITE)
      elog(ERROR, "function must return a composite type");
    fcinfo->flinfo->fn_extra = BlessTupleDesc(CreateTupleDescCopy(type));
    MemoryContextSwitchTo(caller);
  }
  return static_cast<TupleDesc>(fcinfo->flinfo->fn_extra);
}

}  // namespace

Datum composite(FunctionCallInfo fcinfo, std::span<const Value> columns) {
  Columns values(columns);
  return guarded([&] {
    return HeapTupleGetDatum(
        heap_form_tuple(result_type(fcinfo), values.datums.data(), values.nulls.data()));
  });
}

RowSet::RowSet(FunctionCallInfo fcinfo) : result_(nullptr) {
  guarded([&] { InitMaterializedSRF(fcinfo, 0); });
  result_ = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
}

void RowSet::add(std::span<const Value> columns) {
  Columns values(columns);
  guarded([&] {
    tuplestore_putvalues(result_->setResult, result_->setDesc, values.datums.data(),
                         values.nulls.data());
  });
}

}  // namespace purser::pg

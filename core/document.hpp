// JSON documents that people write: read with every number as it was written, and with words for
// what is wrong and where. What a document means is for others (plan) to say.
#pragma once
#include "core/pure.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/amount.hpp"
#include "core/violation.hpp"

namespace purser {

enum class JsonType { null, boolean, integer, decimal, string, array, object };

// A JSON value that keeps numbers as they were written and members in their order.
struct Json {
  JsonType type = JsonType::null;
  std::string text;                // of a string, an integer, a decimal; "true" or "false"
  std::vector<Json> items;         // of an array, or the values of an object
  std::vector<std::string> names;  // of an object, one for each item

  const Json* find(std::string_view name) const;
};

// Reads an object of at most 1 MiB, nested at most 32 deep; nullopt when nothing can be said about
// its contents. Rules: too_large, too_deep, malformed_json, duplicate_key, out_of_range,
// wrong_kind.
std::optional<Json> read_document(std::string_view text, Violations& violations);

// Where in the document something stands, what to call it, and whom to tell what is wrong with it.
class Place {
 public:
  Place(std::string path, std::string name, Violations& violations)
      : path_(std::move(path)), name_(std::move(name)), violations_(violations) {}

  Place field(const std::string& name) const;
  Place item(std::size_t index, std::string name) const;

  // The message begins with the name of the place.
  void report(const char* rule, const std::string& message) const;
  void wrong_kind(const char* wanted, const Json& value) const;
  void missing() const { report("missing_field", "is missing"); }

 private:
  std::string path_;
  std::string name_;
  Violations& violations_;
};

// The value as a message shows it, shortened.
std::string shown(const Json& value);
std::string list_of(const std::vector<std::string>& words);
bool contains(const std::vector<std::string>& words, const std::string& word);

// The member `name`, where null stands for a member left out.
const Json* given(const Json& object, const char* name);

// Reports members that are not known (unknown_field).
void allow_only(const std::vector<std::string>& known, const Json& object, const Place& place);

// These read a value of one kind, or report what it is instead and leave the target as it was.
void read_text(const Json& object, const char* name, const Place& place, std::string& text);
void read_flag(const Json& value, const Place& place, bool& flag);
void read_integer(const Json& value, int lowest, int highest, const Place& place, int& number);
std::optional<Amount> read_amount(const Json& value, const Place& place);

// Checks that the value is written as an integer. It may still be too large for one.
bool require_integer(const Json& value, const Place& place);
std::optional<std::int64_t> to_int64(const std::string& text);

}  // namespace purser

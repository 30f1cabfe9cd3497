// Reads JSON through nlohmann's events, which still show duplicate keys and the text of numbers. A
// number never passes through a double.
#include "core/document.hpp"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>

#include "core/error.hpp"

namespace purser {
namespace {

constexpr std::size_t largest_document = std::size_t{1} << 20;
constexpr std::size_t deepest_nesting = 32;
constexpr std::size_t longest_quote = 40;

std::string shortened(const std::string& text) {
  if (text.size() <= longest_quote) return text;
  std::size_t end = longest_quote - 3;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

std::string in_quotes(const std::string& text) {
  return '"' + shortened(text) + '"';
}

std::string inside(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + '.' + name;
}

std::string inside(const std::string& path, std::size_t index) {
  return path + '[' + std::to_string(index) + ']';
}

// Builds a Json from nlohmann's events, which still show duplicate keys and the text of numbers.
// Stops at the first error that makes the rest meaningless.
class DocumentReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit DocumentReader(Violations& violations) : violations_(violations) {}

  Json take_root() { return std::move(root_); }

  bool null() override { return scalar(JsonType::null, "null"); }
  bool boolean(bool value) override { return scalar(JsonType::boolean, value ? "true" : "false"); }
  bool number_integer(number_integer_t value) override {
    return scalar(JsonType::integer, std::to_string(value));
  }
  bool number_unsigned(number_unsigned_t value) override {
    return scalar(JsonType::integer, std::to_string(value));
  }
  // Also called for integers beyond 64 bits.
  bool number_float(number_float_t, const string_t& text) override {
    const bool whole = text.find_first_not_of("-0123456789") == std::string::npos;
    return scalar(whole ? JsonType::integer : JsonType::decimal, with_point(text));
  }
  bool string(string_t& value) override {
    refuse_nul(value);
    return scalar(JsonType::string, std::move(value));
  }
  bool binary(binary_t&) override { return false; }  // not part of JSON text

  bool start_object(std::size_t) override { return open(JsonType::object); }
  bool key(string_t& name) override {
    refuse_nul(name);
    Frame& frame = open_.back();
    if (!frame.names_seen.insert(name).second)
      report(inside(frame.path, shortened(name)), "duplicate_key",
             "key " + in_quotes(name) + " is given twice");
    frame.value->names.push_back(std::move(name));
    return true;
  }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(JsonType::array); }
  bool end_array() override { return close(); }

  // The token is not quoted: it may end inside a character.
  bool parse_error(std::size_t position, const std::string& last_token,
                   const nlohmann::detail::exception& error) override {
    constexpr int number_overflow = 406;
    if (error.id == number_overflow)
      report(path_of_next(), "out_of_range",
             "number " + shortened(last_token) + " is out of range");
    else
      report(path_of_next(), "malformed_json",
             "malformed JSON at byte " + std::to_string(position));
    return false;
  }

 private:
  struct Frame {
    Json* value;
    std::string path;
    std::set<std::string> names_seen;
  };

  // nlohmann writes the decimal point of the process's locale into the text it hands over.
  static std::string with_point(std::string text) {
    for (char& c : text)
      if (std::string_view("+-0123456789eE").find(c) == std::string_view::npos) c = '.';
    return text;
  }

  std::string path_of_next() const {
    if (open_.empty()) return "";
    const Frame& frame = open_.back();
    if (frame.value->type == JsonType::array) return inside(frame.path, frame.value->items.size());
    // Between a value and the next key there is no member to name.
    const bool has_name = frame.value->names.size() > frame.value->items.size();
    return has_name ? inside(frame.path, shortened(frame.value->names.back())) : frame.path;
  }

  // Pointers to the values still open stay good: only the innermost one gets new items.
  Json* append(JsonType type, std::string text) {
    if (open_.empty()) {
      root_ = {type, std::move(text), {}, {}};
      return &root_;
    }
    open_.back().value->items.push_back({type, std::move(text), {}, {}});
    return &open_.back().value->items.back();
  }

  bool scalar(JsonType type, std::string text) {
    append(type, std::move(text));
    return true;
  }

  bool open(JsonType type) {
    std::string path = path_of_next();
    if (open_.size() == deepest_nesting) {
      report(path, "too_deep", "nested deeper than " + std::to_string(deepest_nesting) + " levels");
      return false;
    }
    Json* value = append(type, "");
    open_.push_back({value, std::move(path), {}});
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  // The server cannot store it in text.
  void refuse_nul(const std::string& text) {
    if (text.find('\0') == std::string::npos) return;
    report(path_of_next(), "malformed_json", "text contains the character \\u0000");
  }

  void report(std::string path, const char* rule, std::string message) {
    violations_.push_back({std::move(path), rule, std::move(message)});
  }

  Violations& violations_;
  Json root_;
  std::vector<Frame> open_;
};

}  // namespace

const Json* Json::find(std::string_view name) const {
  const auto found = std::find(names.begin(), names.end(), name);
  return found == names.end() ? nullptr : &items[static_cast<std::size_t>(found - names.begin())];
}

std::string shown(const Json& value) {
  switch (value.type) {
    case JsonType::null:
      return "null";
    case JsonType::string:
      return in_quotes(value.text);
    case JsonType::array:
      return "an array";
    case JsonType::object:
      return "an object";
    default:
      return shortened(value.text);
  }
}

std::optional<Json> read_document(std::string_view text, Violations& violations) {
  if (text.size() > largest_document) {
    violations.push_back({"", "too_large",
                          "document of " + std::to_string(text.size()) + " bytes is larger than " +
                              std::to_string(largest_document)});
    return std::nullopt;
  }
  DocumentReader reader(violations);
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &reader)) return std::nullopt;
  Json root = reader.take_root();
  if (root.type == JsonType::object) return root;
  violations.push_back({"", "wrong_kind", "document must be an object, not " + shown(root)});
  return std::nullopt;
}

Place Place::field(const std::string& name) const {
  return {inside(path_, name), name, violations_};
}

Place Place::item(std::size_t index, std::string name) const {
  return {inside(path_, index), std::move(name), violations_};
}

void Place::report(const char* rule, const std::string& message) const {
  violations_.push_back({path_, rule, shortened(name_) + ' ' + message});
}

void Place::wrong_kind(const char* wanted, const Json& value) const {
  report("wrong_kind", std::string("must be ") + wanted + ", not " + shown(value));
}

std::string list_of(const std::vector<std::string>& words) {
  std::string list;
  for (const std::string& word : words) list += (list.empty() ? "" : ", ") + word;
  return list;
}

bool contains(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

void allow_only(const std::vector<std::string>& known, const Json& object, const Place& place) {
  for (const std::string& name : object.names)
    if (!contains(known, name))
      place.field(name).report("unknown_field", "is unknown, expected one of " + list_of(known));
}

const Json* given(const Json& object, const char* name) {
  const Json* value = object.find(name);
  return value && value->type != JsonType::null ? value : nullptr;
}

void read_text(const Json& object, const char* name, const Place& place, std::string& text) {
  const Json* value = given(object, name);
  if (!value) return;
  if (value->type == JsonType::string)
    text = value->text;
  else
    place.field(name).wrong_kind("text", *value);
}

void read_flag(const Json& value, const Place& place, bool& flag) {
  if (value.type == JsonType::boolean)
    flag = value.text == "true";
  else
    place.wrong_kind("true or false", value);
}

bool require_integer(const Json& value, const Place& place) {
  if (value.type == JsonType::integer) return true;
  if (value.type == JsonType::decimal)
    place.report("not_an_integer", "must be an integer, not " + shown(value));
  else
    place.wrong_kind("an integer", value);
  return false;
}

std::optional<std::int64_t> to_int64(const std::string& text) {
  std::int64_t number = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  if (result.ec != std::errc()) return std::nullopt;
  return number;
}

void read_integer(const Json& value, int lowest, int highest, const Place& place, int& number) {
  if (!require_integer(value, place)) return;
  const std::optional<std::int64_t> read = to_int64(value.text);
  if (read && *read >= lowest && *read <= highest)
    number = static_cast<int>(*read);
  else
    place.report("out_of_range", "must be between " + std::to_string(lowest) + " and " +
                                     std::to_string(highest) + ", not " + shown(value));
}

std::optional<Amount> read_amount(const Json& value, const Place& place) {
  if (value.type != JsonType::integer && value.type != JsonType::decimal) {
    place.wrong_kind("a number", value);
    return std::nullopt;
  }
  try {
    return Amount::parse(value.text);
  } catch (const Error& error) {
    place.report("out_of_range", "cannot be kept exactly: " + error.message);
    return std::nullopt;
  }
}

}  // namespace purser

// Published features, plan versions and settings, cached per session. Versions are immutable and
// few, so the cache is keyed by plan and always hits, however many accounts there are.
//
// A statement that changes one of these tables sends an invalidation with its commit (trigger
// purser_catalog_changed). Each session drops its cache when it meets the message; the session that
// changed them also at once, and again when its (sub)transaction aborts, because PostgreSQL then
// replays the transaction's own messages to it. The cache is read with the newest snapshot, so that
// a long REPEATABLE READ transaction cannot leave an old plan behind.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/period.hpp"
#include "core/plan.hpp"
#include "core/rate_card.hpp"
#include "extension/pg/statement.hpp"

namespace purser {

// A version of a rate card and from when it prices.
struct PublishedCard {
  int version = 0;
  Instant effective_from = 0;
  std::shared_ptr<const RateCard> card;  // read when it is first needed
};

class Catalog {
 public:
  using Version = std::shared_ptr<const PlanVersion>;

  const FeatureCatalog& features() const { return features_; }
  const Feature& feature(std::string_view code) const;  // PU012 when it was never declared
  const std::map<std::string, Version, std::less<>>& plans() const { return latest_; }
  std::string_view setting(std::string_view name) const;  // empty when not set
  Amount low_balance() const { return low_balance_; }     // the setting of that name

  // The version an account follows: the default plan when `plan` is absent, the latest version
  // unless it is pinned. PU012 when there is none. Loads a pinned version when it is not cached.
  const PlanVersion& version(const std::optional<std::string>& plan, std::optional<int> pinned);

  // The same from memory alone: null when it is not cached.
  const PlanVersion* cached_version(std::string_view plan, std::optional<int> pinned) const;

  // The version of a rate card in force at an instant: of those effective by then the one that
  // became so last, the higher version of two at once. PU012 when there is none.
  const PublishedCard& rate_card(std::string_view name, Instant at);

  // One version of a rate card, in force or not. PU012 when there is none.
  const RateCard& rate_card_version(std::string_view name, int version);

  static std::shared_ptr<Catalog> load();
  // The declared features alone, whether or not the published plans agree with them.
  static FeatureCatalog load_features();

 private:
  FeatureCatalog features_;
  std::map<std::string, std::string, std::less<>> settings_;
  Amount low_balance_;
  std::map<std::string, Version, std::less<>> latest_;
  std::map<std::pair<std::string, int>, Version, std::less<>> pinned_;
  std::map<std::string, std::vector<PublishedCard>, std::less<>>
      rate_cards_;  // as they come in force
};

// The catalog as of now.
std::shared_ptr<Catalog> catalog();

// Which installation of the extension the catalog was read from, as a number.
std::uint32_t installation();

// What this session last loaded, for the one function that runs inside a statement; null when
// nothing was. The statement's author calls catalog() before.
const Catalog* loaded_catalog();

void register_catalog_callbacks();

}  // namespace purser

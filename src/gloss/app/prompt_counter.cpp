#include "gloss/app/prompt_counter.h"

#include <algorithm>
#include <map>
#include <span>

#include "gloss/base/hash.h"

namespace gloss::app {
namespace {

/// Bytes that both begin with, not ending inside a character.
std::size_t common_beginning(std::string_view a, std::string_view b) {
  std::size_t n = static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
  while (n > 0 && n < a.size() && (static_cast<unsigned char>(a[n]) & 0xC0U) == 0x80U) --n;
  return n;
}

}  // namespace

PromptCounter::PromptCounter(const text::Tokenizer& tokenizer, std::string model, Paid paid, std::uint32_t frame)
    : tokenizer_(tokenizer), model_(std::move(model)), paid_(std::move(paid)), frame_(frame) {}

void PromptCounter::submit(const llm::Request& request, Callback done) {
  Asked asked{request.latent, "", request.messages.size(), paid_ && paid_(request)};
  for (const llm::Message& m : request.messages) asked.text += m.content + "\n";
  if (request.is_read()) asked.text += request.choices.front();
  if (!known_.insert(hash_hex(std::as_bytes(std::span(asked.text)))).second) asked.paid = true;  // sent once
  asked_.push_back(std::move(asked));
  waiting_.push_back(std::move(done));
}

void PromptCounter::run() {
  while (!waiting_.empty()) {
    const Callback done = std::move(waiting_.front());
    waiting_.pop_front();
    llm::Reply reply;
    reply.failure = "counted, not asked";
    done(reply);
  }
}

double PromptCounter::count(std::string_view text) const {
  return text.empty() ? 0.0 : static_cast<double>(tokenizer_.encode(text).size());
}

std::vector<llm::LatentCost> PromptCounter::take(double output) {
  std::vector<Asked> asked;
  asked.swap(asked_);
  known_.clear();
  if (asked.empty()) return {};
  std::size_t all = asked.front().text.size();
  for (const Asked& a : asked) all = std::min(all, common_beginning(asked.front().text, a.text));
  if (asked.size() == 1) all = 0;  // nothing to share with
  const double all_tokens = count(std::string_view(asked.front().text).substr(0, all));
  std::vector<llm::LatentCost> costs;
  std::map<std::int64_t, std::size_t> places;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const Asked& a = asked[i];
    if (a.paid) continue;
    const auto [place, fresh] = places.emplace(a.latent, costs.size());
    if (fresh) costs.emplace_back();
    llm::LatentCost& cost = costs[place->second];
    const std::string_view text = a.text;
    const std::size_t before = i == 0 ? all : std::max(all, common_beginning(text, asked[i - 1].text));
    // A frame belongs to the part that its message belongs to: all but the last message's are shared.
    const double frames = static_cast<double>(frame_);
    cost.calls += 1.0;
    cost.shared += all_tokens + count(text.substr(all, before - all)) + frames * static_cast<double>(a.messages - 1);
    cost.own += count(text.substr(before)) + frames;
    cost.output += output;
  }
  return costs;
}

}  // namespace gloss::app

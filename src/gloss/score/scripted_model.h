#pragma once
/// For tests: a language model whose replies a function gives.
#include <deque>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "gloss/llm/language_model.h"

namespace gloss::score {

class ScriptedModel : public llm::LanguageModel {
 public:
  /// `n`: how many requests came before.
  using Script = std::function<llm::Reply(const llm::Request& request, std::size_t n)>;
  explicit ScriptedModel(Script script) : script_(std::move(script)) {}

  const std::string& model() const override { return name_; }
  void submit(const llm::Request& request, Callback done) override { queue_.emplace_back(request, std::move(done)); }
  void run() override {
    while (!queue_.empty()) {
      const auto [request, done] = std::move(queue_.front());
      queue_.pop_front();
      const std::size_t n = requests_.size();
      requests_.push_back(request);
      done(script_(request, n));
    }
  }
  llm::Totals totals() const override { return {}; }
  const std::vector<llm::Request>& requests() const { return requests_; }

 private:
  Script script_;
  std::string name_ = "scripted";
  std::deque<std::pair<llm::Request, Callback>> queue_;
  std::vector<llm::Request> requests_;
};

}  // namespace gloss::score

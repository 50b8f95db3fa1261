#include "lib/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>

#include <memory>

namespace narrow {

void start_log(spdlog::level::level_enum level) {
  auto logger = std::make_shared<spdlog::logger>("narrow", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("narrow: %l: %v");
  logger->set_level(level);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace narrow

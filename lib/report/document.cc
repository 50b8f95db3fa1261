#include "lib/report/document.h"

namespace narrow::report {

Table facts(std::vector<std::vector<Cell>> rows) {
  Table table;
  table.columns.resize(rows.empty() ? 0 : rows.front().size());
  table.rows = std::move(rows);
  return table;
}

}  // namespace narrow::report

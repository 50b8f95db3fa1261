// Primitives that a kernel keeps by what it has met.
#pragma once

namespace narrow::exec {

/// What the map's pointer of this key points at, made by make() where there is none yet. A make() that throws leaves no
/// entry behind, so that every entry can be read.
template <class Map, class Make>
const auto& cached(Map& map, const typename Map::key_type& key, Make make) {
  auto found = map.find(key);
  if (found == map.end()) found = map.emplace(key, make()).first;
  return *found->second;
}

}  // namespace narrow::exec

#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "weir/tools/bench/report.h"

namespace weir::bench {

// Single quotes take everything but themselves.
std::string gnuplot_string(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("''") : std::string(1, c);
  return quoted + "'";
}

std::string run_gnuplot(const std::string& script) {
  if (std::system("command -v gnuplot >/dev/null 2>&1") != 0) return "gnuplot is not installed: tools/setup --bench installs it";
  std::FILE* gnuplot = popen("gnuplot", "w");
  if (gnuplot == nullptr) return "gnuplot cannot be started";
  std::fwrite(script.data(), 1, script.size(), gnuplot);
  return pclose(gnuplot) == 0 ? "" : "gnuplot has failed";
}

std::string draw(const std::vector<RowResult>& results, const std::string& file) {
  std::string points;
  int bars = 0;
  for (const RowResult& row : results) {
    for (size_t i = 1; i < row.sides.size(); ++i) {
      const Median& ratio = row.sides[i].ratio;
      absl::StrAppend(&points, bars++, "\t", ratio.value, "\t", ratio.low, "\t", ratio.high, "\t", i == 1 ? 1 : 2, "\t\"", row.name, ": ",
                      row.sides[i].name, "\"\n");
    }
  }
  if (bars == 0) return "no row was compared with anything";
  const std::string script = absl::StrCat(
      "set terminal svg size 900,", 120 + 22 * bars, " font 'sans,11'\nset output ", gnuplot_string(file), "\n$points << END\n", points,
      "END\nset title 'Time of weir, divided by that of the others: left of 1 weir is faster'\n",
      "set logscale x\nset xrange [0.05:20]\nset xtics (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)\nset yrange [", bars, ":-1]\n",
      "set grid x\nset style fill solid 0.7\nset lmargin 34\nset arrow from 1, graph 0 to 1, graph 1 nohead lw 2\nunset key\n",
      "plot $points using (sqrt($2)):1:(1):2:($1-0.35):($1+0.35):5:ytic(6) with boxxyerror lc variable, ",
      "$points using 2:1:3:4 with xerrorbars lc rgb 'black' pt 0\n");
  return run_gnuplot(script);
}

}  // namespace weir::bench

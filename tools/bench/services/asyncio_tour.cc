#include "weir/tools/bench/services/asyncio_tour.h"

namespace weir::bench {

std::string asyncio_tour() {
  return R"py(
import asyncio, hashlib, itertools, sys

def chained_lines(path):
    chain = hashlib.md5()
    with open(path, "rb") as file:
        for line in file:
            chain.update(line)
            yield chain.hexdigest().encode() + b"\t" + line

async def check(reader, writer):
    chain, lines = hashlib.md5(), 0
    while item := await reader.readline():
        digest, line = item.split(b"\t", 1)
        chain.update(line)
        if chain.hexdigest().encode() != digest:
            sys.exit("wrong digest")
        lines += 1
    writer.write(str(lines).encode())
    await writer.drain()
    writer.close()

async def tour(path):
    server = await asyncio.start_server(check, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    loop = asyncio.get_running_loop()
    lines, sent = chained_lines(path), 0
    while batch := await loop.run_in_executor(None, lambda: list(itertools.islice(lines, 256))):
        sent += len(batch)
        writer.write(b"".join(batch))
        await writer.drain()
    writer.write_eof()
    return int(await reader.read()) == sent

sys.exit(0 if asyncio.run(tour(sys.argv[1])) else 1)
)py";
}

}  // namespace weir::bench

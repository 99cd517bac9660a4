import { createSocket } from 'node:dgram'
import { lookup, type LookupOneOptions } from 'node:dns'

/** Sends metrics to a StatsD daemon. No call waits, and none fails: metrics never harm payments. */
export interface Statsd {
  /** Add `by` to a counter. */
  count(name: string, by: number): void
  /** One measured duration in milliseconds. */
  timing(name: string, ms: number): void
  /** The current value of a gauge. */
  gauge(name: string, value: number): void
  /** Send what is waiting, then stop; later calls do nothing. Never rejects. */
  close(): Promise<void>
}

/** Fits an Ethernet frame with IPv6 and UDP headers, so that datagrams are not fragmented. */
const DATAGRAM_BYTES_MAX = 1_432
const FLUSH_INTERVAL_MS = 1_000
/** Bounds what one interval sends: about 100,000 timings. Further ones are dropped. */
const DATAGRAMS_PER_INTERVAL_MAX = 2_000
/** A StatsD daemon that moves to another address is found again after this many intervals. */
const ADDRESS_INTERVALS_MAX = 60
const PORT_DEFAULT = 8_125

/**
 * A StatsD emitter for `udp://host:port` or `statsd://host:port`, port 8125 if none is given. Lines
 * share datagrams of at most 1432 bytes. Counters are added up and gauges replaced until they are
 * sent, once a second. It does not keep the process alive.
 */
export function createStatsd(url: string): Statsd {
  const counters = new Map<string, number>()
  const gauges = new Map<string, number>()
  const channel = openChannel(url)

  const flush = () => {
    for (const [name, value] of counters) channel.line(`${name}:${value}|c`)
    for (const [name, value] of gauges) channel.line(`${name}:${gaugeText(name, value)}|g`)
    counters.clear()
    gauges.clear()
    channel.flush()
  }
  const timer = setInterval(() => {
    flush()
    channel.nextInterval()
  }, FLUSH_INTERVAL_MS).unref()

  return {
    count: (name, by) => {
      // Nothing happened: a line about it would only cost the daemon's time.
      if (by !== 0) counters.set(name, (counters.get(name) ?? 0) + by)
    },
    timing: (name, ms) => channel.line(`${name}:${Math.round(ms * 1_000) / 1_000}|ms`),
    gauge: (name, value) => void gauges.set(name, value),
    close: () => {
      clearInterval(timer)
      flush()
      return channel.close()
    },
  }
}

/** A signed gauge would be read as a change, so a negative one is first set to zero. */
function gaugeText(name: string, value: number): string {
  return value < 0 ? `0|g\n${name}:${value}` : String(value)
}

/** Lines in, datagrams out: bounded per interval, errors swallowed. */
function openChannel(url: string) {
  const target = new URL(url)
  const host = target.hostname.replace(/^\[|\]$/g, '')
  const port = Number(target.port || PORT_DEFAULT)
  const address = cachedLookup()
  const socket = createSocket({
    type: host.includes(':') ? 'udp6' : 'udp4',
    lookup: address.lookup,
  })
  socket.on('error', () => undefined)
  socket.unref()
  let lines = ''
  let sent = 0
  let inFlight: Promise<void>[] = []
  let closed = false

  const flush = () => {
    const datagram = lines
    lines = ''
    if (closed || datagram === '' || sent >= DATAGRAMS_PER_INTERVAL_MAX) return
    sent += 1
    inFlight.push(new Promise((done) => socket.send(datagram, port, host, () => done())))
  }
  return {
    line: (line: string) => {
      // Names are ASCII, so characters are bytes.
      if (lines.length + 1 + line.length > DATAGRAM_BYTES_MAX) flush()
      lines = lines === '' ? line : `${lines}\n${line}`
    },
    flush,
    nextInterval: () => {
      sent = 0
      inFlight = []
      address.nextInterval()
    },
    close: async () => {
      if (closed) return
      closed = true
      await Promise.all(inFlight)
      socket.close()
    },
  }
}

/** Node resolves the host for every datagram; this asks the resolver once in a while instead. */
function cachedLookup() {
  let known: Parameters<LookupCallback> | null = null
  let age = 0
  return {
    lookup: (host: string, options: LookupOneOptions, callback: LookupCallback) => {
      if (known) return void process.nextTick(callback, ...known)
      lookup(host, options, (error, address, family) => {
        if (!error) known = [null, address, family]
        callback(error, address, family)
      })
    },
    nextInterval: () => {
      age = (age + 1) % ADDRESS_INTERVALS_MAX
      if (age === 0) known = null
    },
  }
}

type LookupCallback = (error: NodeJS.ErrnoException | null, address: string, family: number) => void

import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino'
import { prettyFactory } from 'pino-pretty'
import type { Config } from '../config/config.ts'

/** Names of fields whose values are never logged, at any depth and in any case. */
const SECRET_FIELDS = [
  '(?:proxy-)?authorization',
  '(?:set-)?cookie',
  'idempotency[-_]?key',
  '(?:x-)?api[-_]?key',
  'password',
  'secret',
  'token',
  'database_?url',
  'connectionstring',
]

const SECRET_NAME = new RegExp(`^(${SECRET_FIELDS.join('|')})$`, 'i')
/** Quotes inside JSON texts are escaped, so a message that only mentions a field does not match. */
const SECRET_IN_LINE = new RegExp(`"(${SECRET_FIELDS.join('|')})":`, 'i')

const REDACTED = '[redacted]'

/** The user name and password of a URL, which errors of drivers carry in their texts. */
const URL_CREDENTIALS = /(:\/\/)[^/\s"'@]*@/g

/**
 * The process's logger: one JSON object per line on standard output, or text on a terminal.
 *
 * Fields: `time` (ISO 8601, UTC), `level` (a word), `role`, `pid`, `msg` and what the event adds.
 * Values of secret fields and credentials inside URLs are replaced. Lines are written before the
 * call returns, so that an ending process loses none. `output` replaces standard output.
 */
export function logger(
  config: Pick<Config, 'logLevel' | 'logFormat'>,
  role: string,
  output?: DestinationStream,
): Logger {
  const auto = !output && process.stdout.isTTY ? 'pretty' : 'json'
  const format = config.logFormat === 'auto' ? auto : config.logFormat
  const target = output ?? pino.destination({ dest: 1, sync: true })
  return pino(
    {
      level: config.logLevel,
      base: { role, pid: process.pid },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      hooks: { streamWrite: redact },
    },
    format === 'pretty' ? pretty(target, auto === 'pretty') : target,
  )
}

/**
 * Secrets are taken out of the finished line: looking for them costs about 1 µs, where pino's own
 * redaction by wildcard paths costs 50 and stops at the depths it was told. Only a line that has
 * some is read again.
 */
function redact(line: string): string {
  const bare = SECRET_IN_LINE.test(line) ? `${JSON.stringify(JSON.parse(line, censor))}\n` : line
  return bare.includes('://') ? bare.replace(URL_CREDENTIALS, `$1${REDACTED}@`) : bare
}

function censor(name: string, value: unknown): unknown {
  return SECRET_NAME.test(name) ? REDACTED : value
}

/**
 * Text for people. Formatted by a plain call: pino-pretty's stream would write a line later than
 * the call that logs it, and a process that ends would lose the last ones.
 */
function pretty(output: DestinationStream, colorize: boolean): DestinationStream {
  const format = prettyFactory({
    ignore: 'pid,role',
    translateTime: 'SYS:HH:MM:ss.l',
    singleLine: true,
    colorize,
  })
  return { write: (line) => output.write(format(line)) }
}

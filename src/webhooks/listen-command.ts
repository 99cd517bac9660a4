import type { Command } from 'commander'
import type { AsJson } from '../adapters/command-options.ts'
import { print, refusedAs, refusedSaying } from '../adapters/commands.ts'
import { parseSecret, parseTypes, parseUrl } from '../adapters/webhook-command-options.ts'
import { messageId } from '../domain/event.ts'
import { writeJson } from '../domain/exact-json.ts'
import { forwardEvents, type Heard } from './forward.ts'
import { newSecret } from './sealed-secrets.ts'
import { byHere, came, type EndpointCommandWorld, type Within } from './shared-command.ts'

interface ListenOptions extends AsJson {
  readonly forwardTo?: string
  readonly types: string[]
  readonly secret?: string
}

/** `payments webhooks listen`. */
export function listenCommand(webhooks: Command, within: Within): void {
  webhooks
    .command('listen')
    .description(
      'For development: show events as they happen and forward them, signed, to a program on ' +
        'this machine. Ends with Ctrl-C.',
    )
    .option('--forward-to <url>', 'where to, such as http://localhost:3000/hook', parseUrl)
    .option('--types <list>', 'such as payment.*,dead_letter.opened', parseTypes, ALL_KINDS)
    .option('--secret <whsec>', 'what signs; a new one if left out', parseSecret)
    .option('--json', 'print JSON, a line for each event')
    .action((options: ListenOptions) => within((world) => listenHere(world, options)))
}

const ALL_KINDS = parseTypes('payment.*,dead_letter.*,webhook_endpoint.*,books.*')

async function listenHere(world: EndpointCommandWorld, options: ListenOptions): Promise<void> {
  const { forwardTo: url = null, types, json } = options
  const secret = options.secret ?? newSecret()
  const stop = new AbortController()
  const stopped = () => stop.abort()
  // Once: a second signal ends the process whatever it does.
  process.once('SIGINT', stopped).once('SIGTERM', stopped)
  // Nobody reads any more, as behind `| head`.
  process.stdout.once('error', stopped)
  const onReady = () => {
    if (json) return print(writeJson({ listening: true, url, secret }))
    print(url === null ? 'Listening. Ctrl-C ends it.' : `Forwarding to ${url}. Ctrl-C ends it.`)
    if (url !== null) print(`The signing secret is ${secret}`)
  }
  const onEvent = (heard: Heard) => print(json ? writeJson(heardBody(heard)) : heardLine(heard))
  const onError = (error: unknown) =>
    void process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  const how = { types, url, secret, by: byHere(), onReady, onEvent, onError }
  const ended = await forwardEvents(world, how, stop.signal)
  if (ended === 'full') throw refusedAs('endpoints_full')
  if (ended === 'stopped') return
  throw refusedSaying(
    ended === 'removed' ? 'endpoint_not_found' : 'endpoint_disabled',
    `The subscription of this command was ${ended} by somebody else, so nothing more is heard. ` +
      'Begin again to hear events.',
  )
}

function heardBody({ event, called }: Heard) {
  const { id, type, paymentId, sequence } = event
  return {
    event_id: messageId(id),
    type,
    payment_id: paymentId === null ? null : Number(paymentId),
    sequence,
    status: called?.status ?? null,
    reason: called?.reason ?? null,
    took_ms: called?.tookMs ?? null,
  }
}

function heardLine({ event: { id, type, paymentId, sequence }, called }: Heard): string {
  const of = paymentId === null ? '' : `  payment ${paymentId}`
  const nth = sequence === null ? '' : ` #${sequence}`
  return `${type}${of}${nth}  ${messageId(id)}${called === null ? '' : `  ${came(called)}`}`
}

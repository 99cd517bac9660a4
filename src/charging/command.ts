import type { Command } from 'commander'
import { JSON_OPTION, type AsJson } from '../adapters/command-options.ts'
import { print, refusedAs, withOpen, type Opened } from '../adapters/commands.ts'
import { writeJson } from '../domain/exact-json.ts'
import type { Clock, Db, Gateway } from '../ports.ts'
import {
  askGateway,
  lookAtGateways,
  type Probed,
  type GatewayLook,
  type KnownGateway,
} from './gateway-look.ts'
import { askedBody, gatewayBody, ruleText } from './gateway-shown.ts'

/** What the commands need of the world. */
interface CommandWorld {
  readonly db: Db
  readonly clock: Clock
  readonly known: readonly KnownGateway[]
  /** Open a gateway by its name; null: none is called so, or it has no address. */
  readonly openGateway: (name: string) => Gateway | null
}

/**
 * `payments gateways list|test`, by the settings and on the database itself, so that it works while
 * no API runs. `test` ends with 1 when the gateway does not talk to us.
 */
export function gatewaysCommand(program: Command, open: () => Promise<Opened<CommandWorld>>): void {
  const gateways = program.command('gateways').description('List gateways, and try one.')
  gateways
    .command('list')
    .description('What each gateway can do, which payments go to it, and how it is.')
    .option(...JSON_OPTION)
    .action(({ json }: AsJson) =>
      withOpen(open, async ({ db, known }) => {
        const { looks } = await lookAtGateways(db, known)
        if (json) return print(writeJson({ data: looks.map(gatewayBody) }))
        for (const look of looks) print(linesOf(look).join('\n'))
      }),
    )
  gateways
    .command('test')
    .description('Ask a gateway about a payment that nobody made. Nothing is charged.')
    .argument('<name>', 'the gateway, as GATEWAYS names it')
    .option(...JSON_OPTION)
    .action((name: string, { json }: AsJson) =>
      withOpen(open, async ({ clock, openGateway }) => {
        const gateway = openGateway(name)
        if (gateway === null) throw refusedAs('gateway_not_found')
        const asked = await askGateway(gateway, clock).finally(() => gateway.close())
        if (json) print(writeJson({ data: asked.map(askedBody) }))
        else for (const one of asked) print(lineOf(one))
        if (!asked.every(({ ok }) => ok)) process.exitCode = 1
      }),
    )
}

function linesOf({ name, driver, profile, rules, routes }: GatewayLook): string[] {
  const { operations, currencies, repeats, keyLifeMs, lookup } = profile
  const taken = currencies === 'any' ? 'every currency' : [...currencies.keys()].join(' ')
  const head = `${name}  driver ${driver}  ${[...operations].join(' ')}  ${taken}`
  const keys = `keys: ${repeats}, ${keyLifeMs / 1_000} s  lookup: ${lookup}`
  const ways = rules.length === 0 ? 'no rule leads to it' : rules.map(ruleText).join(' ')
  return [
    head,
    `  ${keys}`,
    `  ${ways}`,
    ...routes.map(({ operation, breaker, reason, waiting, oldestDueMs }) => {
      const why = reason === null ? '' : ` (${reason})`
      const late = oldestDueMs === null ? '' : `, oldest ${Math.round(oldestDueMs / 1_000)} s`
      return `  ${operation.padEnd(7)} ${breaker}${why}  ${waiting} waiting${late}`
    }),
  ]
}

function lineOf({ operation, ok, outcome, reason, httpStatus, tookMs }: Probed): string {
  const said = [outcome, reason, httpStatus === null ? null : `http ${httpStatus}`]
  const words = said.filter((part) => part !== null).join(', ')
  return (
    `${operation.padEnd(7)} ${ok ? 'talks to us' : 'does not talk to us'} (${words}; ${tookMs} ` +
    'ms)'
  )
}

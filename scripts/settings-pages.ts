import { SETTING_RULES, UNSAID } from '../src/config/config.ts'
import {
  COMMON_SETTINGS,
  DRIVER_SETTINGS,
  type GatewaySetting,
} from '../src/config/driver-settings.ts'
import type { Setting } from '../src/config/kinds.ts'
import { PRODUCTION_RULES } from '../src/config/production.ts'
import { SETTINGS } from '../src/config/settings.ts'

/** The text of `.env.example`: every setting with its default; absent ones commented out. */
export function envExample(): string {
  const rule = `# ${'='.repeat(31)}`
  const intro =
    'Settings of the service. Copy this file to .env and change what you need: every\n' +
    'default works. docs/configuration.md says what is allowed. Written by `npm run env-example`.'
  const groups = byGroup().map(([group, settings]) =>
    [rule, `# ${group}`, rule, ...settings.map(exampleOf)].join('\n'),
  )
  return `${comment(intro)}\n\n${groups.join('\n\n')}\n`
}

function exampleOf(setting: Setting): string {
  const unset = setting.fallback === null || setting.varies === true
  const line = `${setting.name}=${setting.fallback ?? setting.example ?? ''}`
  return `${comment(setting.doc)}\n${unset ? `# ${line}` : line}`
}

/** Comment lines of at most 100 columns. */
function comment(text: string): string {
  const folded = text.replace(/(.{1,98})(?:\s+|$)/g, '$1\n').trimEnd()
  return folded.replace(/^/gm, '# ')
}

/** The text of `docs/configuration.md`. */
export function configurationTable(): string {
  const head = ['Variable', 'Default', 'Allowed', 'Meaning']
  const groups = byGroup().map(([group, settings]) => {
    const rows = settings.map((setting) => [
      `\`${setting.name}\``,
      setting.fallback === null ? 'unset' : `\`${setting.fallback}\``,
      setting.kind.allowed,
      setting.doc,
    ])
    return `## ${group}\n\n${table([head, ...rows])}`
  })
  const bullets = (rules: readonly { readonly fix: string }[]) =>
    rules.map(({ fix }) => wrapped(`- ${fix}.`, '  ')).join('\n')
  return `${[
    '# Configuration',
    'Written by `npm run env-example` from `src/config/settings.ts`; do not edit.',
    wrapped(
      'Settings are environment variables, and lines of a `.env` file in the working directory. The ' +
        'environment wins. An empty variable counts as unset. Everything is checked at the start, ' +
        'and all mistakes are reported at once.',
    ),
    ...groups,
    '## Several gateways',
    SEVERAL,
    ...gatewayTables(),
    '## Together',
    bullets(SETTING_RULES),
    '## Encrypted database connections',
    SSLMODE,
    '## Production',
    'With `APP_ENV=production` the service starts only if all of this holds:',
    bullets(PRODUCTION_RULES),
    wrapped(`In every environment: ${UNSAID}.`),
  ].join('\n\n')}\n`
}

const SEVERAL = [
  wrapped(
    '`GATEWAYS=http,bank` names the gateways: lower case letters and digits, the names are your own. ' +
      '`http` has the settings above. Every other has its own, `GATEWAY_<NAME>_…` with its name in ' +
      'capitals. `GATEWAY_<NAME>_DRIVER` says what it speaks; when unset, its name does. Two ' +
      'gateways may speak the same.',
  ),
  wrapped(
    '`GATEWAY_ROUTES=withdraw:EUR=bank,*=http` says where payments go: rules of a type (`deposit`, ' +
      '`withdraw`, `*`) and a currency (an ISO code, `*`), of which the first counts that fits and ' +
      'whose gateway carries it out. A payment may name its `gateway` and then goes there. A payment ' +
      'stays with its gateway for life, and so do its refunds.',
  ),
].join('\n\n')

/** The settings that a gateway has for itself, a table for all and one for each driver. */
function gatewayTables(): string[] {
  const head = ['Variable', 'Default', 'Allowed', 'Meaning']
  const rows = (settings: readonly GatewaySetting[], inherited: boolean) =>
    settings.map(({ suffix, fallback, kind, doc, demanded }) => [
      `\`GATEWAY_<NAME>_${suffix}\``,
      demanded === true
        ? 'demanded'
        : inherited
          ? 'as for all'
          : fallback === null
            ? 'unset'
            : `\`${fallback}\``,
      kind.allowed,
      doc,
    ])
  const drivers = Object.entries(DRIVER_SETTINGS).flatMap(([driver, settings]) => [
    `### Settings of gateways with the driver ${driver}`,
    table([head, ...rows(Object.values<GatewaySetting>(settings), false)]),
  ])
  const common = rows(Object.values<GatewaySetting>(COMMON_SETTINGS), true)
  return ['### Settings of every gateway but http', table([head, ...common]), ...drivers]
}

const SSLMODE = [
  '`DATABASE_URL` takes `sslmode` as a parameter: `postgresql://…/payments?sslmode=verify-full`.\n',
  wrapped(
    '- `verify-full`: encrypted; certificate and host name are checked. `sslrootcert=/path/ca.pem` ' +
      'names the authority where it is not a public one.',
    '  ',
  ),
  wrapped(
    '- `require`, `verify-ca`: the same in this driver, with a warning; with `uselibpqcompat=true` ' +
      'they mean what libpq means by them.',
    '  ',
  ),
  '- `no-verify`: encrypted, and anybody may be at the other end. `disable`, or none: not encrypted.',
].join('\n')

/** Lines of at most 100 columns, broken where prettier breaks them. */
function wrapped(text: string, indent = ''): string {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    const longer = last === undefined ? word : `${last} ${word}`
    if (last !== undefined && longer.length > 100) lines.push(indent + word)
    else lines[Math.max(0, lines.length - 1)] = longer
  }
  return lines.join('\n')
}

/** A Markdown table padded the way prettier pads it, so that the formatter agrees with the file. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  )
  const lines = rows.map(
    (row) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`,
  )
  const separator = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`
  return [lines[0], separator, ...lines.slice(1)].join('\n')
}

function byGroup(): [group: string, settings: Setting[]][] {
  const settings = Object.values<Setting>(SETTINGS)
  const groups = [...new Set(settings.map((setting) => setting.group))]
  return groups.map((group) => [group, settings.filter((setting) => setting.group === group)])
}

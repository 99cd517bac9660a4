import type { SentFields } from '../domain/sent-fields.ts'
import type { Global, Unsharded } from '../ports.ts'
import { COLUMNS, type Endpoint, type EndpointKey } from './store.ts'

/** An endpoint that was made under a key, and its first secret if it still has that one. */
interface KeptEndpoint extends Endpoint {
  readonly sent: SentFields
  readonly sealed: string | null
}

/** The endpoint that was made under a key, even if it was removed. */
const MADE: Unsharded<KeptEndpoint> = {
  name: 'endpoints_made',
  sharded: false,
  text: `
  select ${COLUMNS}, sent, case when rotated_at is null then secret end as sealed
  from webhook_endpoints
  where api_key = $1 and key = $2`,
}

/** The endpoint that was made under a key, even if it was removed; null: none was. */
export async function endpointMade(
  db: Global,
  { apiKey, key }: Pick<EndpointKey, 'apiKey' | 'key'>,
): Promise<KeptEndpoint | null> {
  const [row] = await db.run(MADE, [apiKey, key])
  return row ?? null
}

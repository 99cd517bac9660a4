/** Where the HTTP API lives. */
export const API = '/api/v1'

/** Where the built-in mock gateway lives. */
export const MOCK_GATEWAY = `${API}/mock-gateway`

# syntax=docker/dockerfile:1

# Debian and not Alpine: the embedded PostgreSQL binaries need glibc. The image never starts them
# (DATABASE_URL is required for the roles that compose.yaml runs), so the last stage leaves them
# out.
FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY scripts ./scripts
COPY migrations ./migrations
COPY src ./src
COPY console ./console
RUN npm run build

FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --omit=optional && npm cache clean --force

FROM node:24-slim
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    LOG_FORMAT=json
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY migrations ./migrations
COPY package.json LICENSE ./
USER node
EXPOSE 8000 8001 8002
# The API's port; compose.yaml overrides the check for the other roles.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8000/readyz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Node itself and not npm, which would keep SIGTERM to itself.
ENTRYPOINT ["node", "--enable-source-maps", "dist/main.js"]
CMD ["api"]

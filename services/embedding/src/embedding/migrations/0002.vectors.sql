-- Vectors and their approximate indexes. Those hold halves of 16 bits: they need half the memory,
-- and what is found is put in order by the whole numbers.
-- depends: 0001.lake

CREATE EXTENSION IF NOT EXISTS vector;

CREATE TABLE user_vectors (
    tenant_id       text        NOT NULL,
    user_id         text        NOT NULL,
    version         bigint      NOT NULL,
    embedding_model text        NOT NULL,
    vector          vector(384) NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
);
CREATE INDEX user_vectors_near ON user_vectors
    USING hnsw ((vector::halfvec(384)) halfvec_cosine_ops) WITH (m = 16, ef_construction = 64);

CREATE TABLE text_vectors (
    tenant_id       text        NOT NULL,
    kind            text        NOT NULL,
    id              uuid        NOT NULL,
    user_id         text,
    embedding_model text        NOT NULL,
    point           jsonb       NOT NULL,
    vector          vector(384) NOT NULL,
    PRIMARY KEY (tenant_id, kind, id)
);
CREATE INDEX text_vectors_of_user ON text_vectors (tenant_id, user_id) WHERE user_id IS NOT NULL;
CREATE INDEX text_vectors_near ON text_vectors
    USING hnsw ((vector::halfvec(384)) halfvec_cosine_ops) WITH (m = 16, ef_construction = 64);

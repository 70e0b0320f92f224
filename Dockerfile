# The command rcrnn in a container: see docs/ten_thousand_hours.md.
FROM python:3.12-slim

# Where to find a smaller build of PyTorch, for example.
ARG PIP_OPTIONS=""

COPY pyproject.toml README.md LICENSE /src/
COPY sklearn_rcrnn /src/sklearn_rcrnn
RUN pip install --no-cache-dir ${PIP_OPTIONS} "/src[cluster,parquet]" && rm -r /src

# Workers share the cores among them; each needs no threads of its own.
ENV OMP_NUM_THREADS=1
RUN useradd --create-home rcrnn
USER rcrnn
WORKDIR /home/rcrnn

ENTRYPOINT ["rcrnn"]
CMD ["--help"]
